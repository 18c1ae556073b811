package sandbox

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// The filter is the second lock behind namespaces and missing capabilities: it
// keeps a build away from kernel code that it has no need of, above all user
// namespaces, which would give it capabilities again. Everything else is
// allowed: a list of what builds may call would break one every week.

// abi is one way of calling the kernel: the number of a system call in each row.
type abi struct {
	audit  uint32
	column int
}

// abis lists what this machine's kernel can run. A call in any other way fails.
func abis() ([]abi, error) {
	switch runtime.GOARCH {
	case "amd64":
		return []abi{{unix.AUDIT_ARCH_X86_64, 0}, {unix.AUDIT_ARCH_I386, 1}}, nil
	case "386":
		return []abi{{unix.AUDIT_ARCH_I386, 1}}, nil
	case "arm64":
		return []abi{{unix.AUDIT_ARCH_AARCH64, 2}}, nil
	}
	return nil, fmt.Errorf("no table of system calls for %s: %w", runtime.GOARCH, errors.ErrUnsupported)
}

// A denied call: its numbers on x86_64, i386 and aarch64 (-1: there is none),
// and the error it gives. With a mask, it is denied only if argument arg has one
// of its bits; with equal, only if the argument is one of these.
type denied struct {
	name    string
	numbers [3]int
	errno   unix.Errno
	arg     int
	mask    uint32
	equal   []uint32
}

const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

func deniedCalls() []denied {
	e := unix.EPERM
	no := unix.ENOSYS // callers take the older way
	return []denied{
		{"mount", [3]int{165, 21, 40}, e, 0, 0, nil},
		{"umount", [3]int{-1, 22, -1}, e, 0, 0, nil},
		{"umount2", [3]int{166, 52, 39}, e, 0, 0, nil},
		{"pivot_root", [3]int{155, 217, 41}, e, 0, 0, nil},
		{"fsopen", [3]int{430, 430, 430}, e, 0, 0, nil},
		{"fsconfig", [3]int{431, 431, 431}, e, 0, 0, nil},
		{"fsmount", [3]int{432, 432, 432}, e, 0, 0, nil},
		{"fspick", [3]int{433, 433, 433}, e, 0, 0, nil},
		{"open_tree", [3]int{428, 428, 428}, e, 0, 0, nil},
		{"open_tree_attr", [3]int{467, 467, 467}, e, 0, 0, nil},
		{"move_mount", [3]int{429, 429, 429}, e, 0, 0, nil},
		{"mount_setattr", [3]int{442, 442, 442}, e, 0, 0, nil},
		{"setns", [3]int{308, 346, 268}, e, 0, 0, nil},
		{"unshare", [3]int{272, 310, 97}, e, 0, namespaceFlags, nil},
		{"clone", [3]int{56, 120, 220}, e, 0, namespaceFlags, nil},
		{"clone3", [3]int{435, 435, 435}, no, 0, 0, nil}, // its flags lie where a filter cannot look
		{"keyctl", [3]int{250, 288, 219}, e, 0, 0, nil},
		{"add_key", [3]int{248, 286, 217}, e, 0, 0, nil},
		{"request_key", [3]int{249, 287, 218}, e, 0, 0, nil},
		{"bpf", [3]int{321, 357, 280}, e, 0, 0, nil},
		{"perf_event_open", [3]int{298, 336, 241}, e, 0, 0, nil},
		{"userfaultfd", [3]int{323, 374, 282}, e, 0, 0, nil},
		{"io_uring_setup", [3]int{425, 425, 425}, no, 0, 0, nil},
		{"io_uring_enter", [3]int{426, 426, 426}, no, 0, 0, nil},
		{"io_uring_register", [3]int{427, 427, 427}, no, 0, 0, nil},
		{"fanotify_init", [3]int{300, 338, 262}, e, 0, 0, nil},
		{"open_by_handle_at", [3]int{304, 342, 265}, e, 0, 0, nil},
		{"kexec_load", [3]int{246, 283, 104}, e, 0, 0, nil},
		{"kexec_file_load", [3]int{320, -1, 294}, e, 0, 0, nil},
		{"init_module", [3]int{175, 128, 105}, e, 0, 0, nil},
		{"finit_module", [3]int{313, 350, 273}, e, 0, 0, nil},
		{"delete_module", [3]int{176, 129, 106}, e, 0, 0, nil},
		{"swapon", [3]int{167, 87, 224}, e, 0, 0, nil},
		{"swapoff", [3]int{168, 115, 225}, e, 0, 0, nil},
		{"reboot", [3]int{169, 88, 142}, e, 0, 0, nil},
		{"acct", [3]int{163, 51, 89}, e, 0, 0, nil},
		{"quotactl", [3]int{179, 131, 60}, e, 0, 0, nil},
		{"quotactl_fd", [3]int{443, 443, 443}, e, 0, 0, nil},
		{"syslog", [3]int{103, 103, 116}, e, 0, 0, nil}, // the machine's kernel log
		{"settimeofday", [3]int{164, 79, 170}, e, 0, 0, nil},
		{"clock_settime", [3]int{227, 264, 112}, e, 0, 0, nil},
		{"iopl", [3]int{172, 110, -1}, e, 0, 0, nil},
		{"ioperm", [3]int{173, 101, -1}, e, 0, 0, nil},
		{"vhangup", [3]int{153, 111, 58}, e, 0, 0, nil},
		{"lookup_dcookie", [3]int{212, 253, 18}, e, 0, 0, nil},
		{"ioctl", [3]int{16, 54, 29}, e, 1, 0, []uint32{unix.TIOCSTI, unix.TIOCLINUX}}, // typing at somebody's terminal
		// The host of a virtual machine, raw frames, the kernel's ciphers: no build talks to these.
		{"socket", [3]int{41, 359, 198}, e, 0, 0, []uint32{unix.AF_VSOCK, unix.AF_PACKET, unix.AF_ALG, unix.AF_XDP, unix.AF_KEY}},
	}
}

// programCalls start another program.
func programCalls() []denied {
	return []denied{
		{"execve", [3]int{59, 11, 221}, unix.EPERM, 0, 0, nil},
		{"execveat", [3]int{322, 358, 281}, unix.EPERM, 0, 0, nil},
		{"ptrace", [3]int{101, 26, 117}, unix.EPERM, 0, 0, nil},
		{"process_vm_readv", [3]int{310, 347, 270}, unix.EPERM, 0, 0, nil},
		{"process_vm_writev", [3]int{311, 348, 271}, unix.EPERM, 0, 0, nil},
		{"pidfd_getfd", [3]int{438, 438, 438}, unix.EPERM, 0, 0, nil},
	}
}

// program compiles the table. i386 programs reach socket by socketcall, whose
// arguments a filter cannot see; only sandboxes that build for i686 may use it.
func program(bits32 bool, more ...denied) ([]unix.SockFilter, error) {
	list, err := abis()
	if err != nil {
		return nil, err
	}
	calls := append(deniedCalls(), more...)
	if !bits32 {
		calls = append(calls, denied{"socketcall", [3]int{-1, 102, -1}, unix.EPERM, 0, 0, []uint32{1}}) // SYS_SOCKET
	}
	var p []unix.SockFilter
	for _, a := range list {
		block := a.block(calls)
		// the next block, if this is not the caller's ABI; far: jumps of comparisons end at 255
		p = append(p, load(offArch), equal(a.audit, 1, 0), jump(len(block)))
		p = append(p, block...)
	}
	return append(p, refuse(unix.EPERM)), nil
}

// block checks one call made by this ABI and always ends in an answer.
func (a abi) block(calls []denied) []unix.SockFilter {
	b := []unix.SockFilter{load(offNumber)}
	if a.audit == unix.AUDIT_ARCH_X86_64 {
		b = append(b, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: x32Bit, Jf: 1}, refuse(unix.EPERM))
	}
	for _, c := range calls {
		if n := c.numbers[a.column]; n >= 0 {
			rule := c.rule()
			b = append(b, equal(uint32(n), 0, uint8(len(rule))))
			b = append(b, rule...)
		}
	}
	return append(b, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}

// rule is what follows once the number has matched; it leaves the number loaded.
func (c denied) rule() []unix.SockFilter {
	if c.mask == 0 && c.equal == nil {
		return []unix.SockFilter{refuse(c.errno)}
	}
	r := []unix.SockFilter{load(offArgs + 8*uint32(c.arg))} // the low half, on these little-endian machines
	if c.mask != 0 {
		r = append(r, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: c.mask, Jf: 1}, refuse(c.errno))
	}
	for _, v := range c.equal {
		r = append(r, equal(v, 0, 1), refuse(c.errno))
	}
	return append(r, load(offNumber))
}

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
	x32Bit    = 0x40000000
)

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func equal(k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
}

func jump(n int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(n)}
}

func refuse(e unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
}
