package sandbox

import (
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// installing is what rpm and scriptlets need to give files to their owners, in
// their own root folder. Without CAP_SYS_ADMIN nothing can be mounted, without
// CAP_MKNOD no device made, without CAP_NET_* no network touched.
func installing() []int {
	return []int{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID,
		unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SYS_CHROOT, unix.CAP_SETFCAP}
}

// confine drops everything that the command must not have, for this thread.
// This process keeps its capabilities, to start the command as its uid and to
// reap; the command gets at its exec what the bounding set leaves.
func confine(o order) error {
	if o.Personality32 {
		if _, _, e := unix.Syscall(unix.SYS_PERSONALITY, 0x0008, 0, 0); e != 0 { // PER_LINUX32
			return fmt.Errorf("personality: %w", e)
		}
	}
	for resource, max := range map[int]uint64{
		unix.RLIMIT_CORE: 0, unix.RLIMIT_MEMLOCK: 64 << 10, unix.RLIMIT_MSGQUEUE: 800 << 10,
		unix.RLIMIT_FSIZE: o.FileSize, unix.RLIMIT_NPROC: o.Procs,
	} {
		if err := bound(resource, max); err != nil {
			return fmt.Errorf("limit %d: %w", resource, err)
		}
	}
	if err := dropCaps(o.Caps); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide this process: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return filter(o.Personality32)
}

// bound lowers a limit; it never raises one, which needs a capability. Zero is
// no limit of ours, but for core files.
func bound(resource int, max uint64) error {
	if max == 0 && resource != unix.RLIMIT_CORE {
		return nil
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	max = min(max, now.Max)
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: max, Max: max})
}

// withMemory starts a process under a limit of memory that this process must not
// have itself: it would fail to reap. The soft limit is there from the first
// instruction; the hard one follows before a program has been loaded.
func withMemory(max uint64, start func() (pid int, err error)) error {
	if max == 0 {
		_, err := start()
		return err
	}
	var mine unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &mine); err != nil {
		return err
	}
	max = min(max, mine.Max)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: max, Max: mine.Max}); err != nil {
		return err
	}
	pid, err := start()
	if back := unix.Setrlimit(unix.RLIMIT_DATA, &mine); back != nil && err == nil {
		err = back
	}
	if err != nil {
		return err
	}
	return unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: max, Max: max}, nil)
}

func dropCaps(keep Caps) error {
	kept := map[int]bool{}
	if keep == CapsInstall {
		for _, c := range installing() {
			kept[c] = true
		}
	}
	for c := 0; c < 64; c++ {
		if held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err != nil || held == 0 || kept[c] {
			continue // unknown to this kernel, or not there
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0 // and with them the ambient ones
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("drop inheritable capabilities: %w", err)
	}
	return nil
}

// filter puts the seccomp program before every system call of this thread's children.
func filter(bits32 bool) error {
	prog, err := program(bits32)
	if err != nil {
		return err
	}
	return putFilter(prog, 0)
}

func putFilter(prog []unix.SockFilter, flags uintptr) error {
	if len(prog) > math.MaxUint16 {
		return fmt.Errorf("seccomp program of %d instructions", len(prog))
	}
	f := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&f)))
	switch {
	case e != 0:
		return fmt.Errorf("seccomp: %w", e)
	case thread != 0:
		return fmt.Errorf("seccomp: thread %d has another filter", thread)
	}
	return nil
}

// Alone puts this process, which can gain no rights any more (no_new_privs), behind the
// filter of builds and keeps it from starting programs and looking into other processes:
// what speaks with the network needs none of that. errors.ErrUnsupported: it is not for
// this machine's processor.
func Alone() error {
	prog, err := program(false, programCalls()...)
	if err != nil {
		return err
	}
	return putFilter(prog, unix.SECCOMP_FILTER_FLAG_TSYNC) // for all threads
}
