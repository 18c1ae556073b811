package sandbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"plague/internal/sandbox"
	"plague/internal/sandbox/sandboxtest"

	"golang.org/x/sys/unix"
)

// attack runs a script in a sandbox; change may be nil.
func attack(t *testing.T, script string, change func(*sandbox.Command)) (sandbox.Result, string) {
	t.Helper()
	needRoot(t)
	c := tools(t)
	c.Args = []string{"/bin/sh", "-c", script}
	c.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/tmp", "LC_ALL=C"}
	var out sandboxtest.Buffer
	c.Output = &out
	c.Limits = sandbox.Limits{Wall: time.Minute, Output: 1 << 20}
	if change != nil {
		change(&c)
	}
	res, err := sandbox.Native{}.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("%v; output %q", err, out.String())
	}
	return res, out.String()
}

// installer makes a command root, as it is when packages are installed.
func installer(c *sandbox.Command) { c.UID, c.GID, c.Caps = 0, 0, sandbox.CapsInstall }

// TestRefused tries what must fail, as a build and as an installing root. Should
// one of them succeed, it changes nothing: values are written back as they are.
func TestRefused(t *testing.T) {
	tests := []struct{ name, script string }{
		{"mount", "mount -t tmpfs x /mnt"},
		{"bind mount", "mount --bind /tmp /mnt"},
		{"umount", "umount /proc"},
		{"remount", "mount -o remount,rw /proc/sys"},
		{"user namespace", "unshare -U true"},
		{"namespaces", "unshare -m true"},
		{"device node", "mknod /tmp/disk b 254 0"},
		{"host name", `hostname "$(hostname)"`},
		{"kernel setting", "v=$(cat /proc/sys/kernel/panic); echo $v > /proc/sys/kernel/panic"},
		{"core pattern", `v=$(cat /proc/sys/kernel/core_pattern); echo "$v" > /proc/sys/kernel/core_pattern`},
		{"sysrq", "echo h > /proc/sysrq-trigger"},
		{"sysfs", "v=$(cat /sys/class/net/lo/mtu); echo $v > /sys/class/net/lo/mtu"},
		{"kernel symbols", "grep -q . /proc/kallsyms"},
		{"kernel log", "dmesg"},
		{"raw disk", "ls /dev/vda /dev/sda /dev/mem /dev/kmsg"},
		{"tools", "echo x > /usr/bin/evil"},
		{"first process", "cat /proc/1/environ"},
		{"root of the first process", "ls /proc/1/root/"},
		{"files of the first process", "ls -l /proc/1/fd/"},
		{"clock", "date -s @$(date +%s)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if res, out := attack(t, tt.script, nil); res.ExitCode == 0 || res.ExitCode == 127 {
				t.Errorf("as a build: %+v %s", res, out)
			}
			if res, out := attack(t, tt.script, installer); res.ExitCode == 0 || res.ExitCode == 127 {
				t.Errorf("as root: %+v %s", res, out)
			}
		})
	}
}

// TestSystemCalls checks numbers that no tool calls by itself.
func TestSystemCalls(t *testing.T) {
	script := `python3 -c '
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for name, args in (("keyctl", (250, 0, -3, 0)), ("add_key", (248, 0, 0, 0)), ("bpf", (321, 0, 0, 0)), ("perf", (298, 0, 0, 0)),
                   ("setns", (308, 0, 0)), ("open_by_handle_at", (304, -1, 0, 0)), ("io_uring", (425, 1, 0)), ("clone3", (435, 0, 0)),
                   ("newuser", (56, 0x10000011, 0, 0, 0, 0)), ("vsock", (41, 40, 1, 0)), ("fsopen", (430, 0, 0)), ("x32", (0x40000000 + 39,)),
                   ("tiocsti", (16, 0, 0x5412, 0)), ("getpid", (39,))):
    r = libc.syscall(*[ctypes.c_long(a) for a in args])
    print(name, "ok" if r >= 0 else ctypes.get_errno())
'`
	want := "keyctl 1\nadd_key 1\nbpf 1\nperf 1\nsetns 1\nopen_by_handle_at 1\nio_uring 38\nclone3 38\nnewuser 1\nvsock 1\nfsopen 1\nx32 1\ntiocsti 1\ngetpid ok\n"
	for name, change := range map[string]func(*sandbox.Command){"build": nil, "root": installer} {
		res, out := attack(t, script, change)
		if res.ExitCode == 127 {
			t.Skip("no python3 here")
		}
		if out != want {
			t.Errorf("as %s: %+v\n%s", name, res, out)
		}
	}
}

func TestPowers(t *testing.T) {
	_, out := attack(t, "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Groups)' /proc/self/status; ls -l /proc/self/fd | wc -l", nil)
	for _, want := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
		"CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", fmt.Sprintf("Uid:\t%d\t%d\t%d\t%d", slot, slot, slot, slot), "Groups:\t \n",
		"\n5\n", // "total", three streams, and the folder that ls itself reads
	} {
		if !strings.Contains(out, want) {
			t.Errorf("a build has no %q in\n%s", want, out)
		}
	}
	_, out = attack(t, "grep ^Cap /proc/self/status", installer)
	if want := "CapBnd:\t00000000800400db"; !strings.Contains(out, want) || !strings.Contains(out, strings.Replace(want, "Bnd", "Eff", 1)) {
		t.Errorf("an installing root has not just the capabilities %s:\n%s", want, out)
	}
}

func TestSetuidProgramsAreUseless(t *testing.T) {
	// id, set-user-id root, in the base layer: what su in a buildroot would be
	res, out := attack(t, "ls -l /id; /id -u", func(c *sandbox.Command) {
		id, err := os.ReadFile("/usr/bin/id")
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(c.Layers[0], "id")
		if err := os.WriteFile(name, id, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o755|os.ModeSetuid); err != nil {
			t.Fatal(err)
		}
	})
	if !res.OK() || !strings.HasPrefix(out, "-rws") || !strings.HasSuffix(out, fmt.Sprintf("\n%d\n", slot)) {
		t.Errorf("%+v %s", res, out)
	}
}

func TestDevicesOfALayerAreUseless(t *testing.T) {
	res, out := attack(t, "ls -l /zero && head -c 1 /zero", func(c *sandbox.Command) {
		name := filepath.Join(c.Layers[0], "zero")
		if err := syscall.Mknod(name, syscall.S_IFCHR|0o666, 1<<8|5); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o666); err != nil {
			t.Fatal(err)
		}
	})
	if res.OK() || !strings.HasPrefix(out, "crw-rw-rw-") {
		t.Errorf("%+v %q", res, out)
	}
}

func TestNamespacesAreItsOwn(t *testing.T) {
	_, out := attack(t, "cd /proc/self/ns && for n in cgroup ipc mnt net pid uts; do readlink $n; done", nil)
	inside := strings.Fields(out)
	for i, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		outside, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if len(inside) != 6 || inside[i] == outside {
			t.Errorf("%s outside, inside %q", outside, inside)
		}
	}
}

func TestNetwork(t *testing.T) {
	needRoot(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	script := fmt.Sprintf(`python3 -c '
import socket
def dial(a):
    try: socket.create_connection(a, 2); print("reached")
    except OSError as e: print(e.errno)
dial(("127.0.0.1", %d)); dial(("192.0.2.1", 80))
s = socket.create_server(("127.0.0.1", 0)); dial(s.getsockname())
print([n for _, n in socket.if_nameindex()])
'`, port)
	res, out := attack(t, script, nil)
	if res.ExitCode == 127 {
		t.Skip("no python3 here")
	}
	// refused by an empty loopback, no route at all, and a loopback that works
	if want := "111\n101\nreached\n['lo']\n"; out != want {
		t.Errorf("network is %+v %q, want %q", res, out, want)
	}
}

func TestMachineIsOutOfSight(t *testing.T) {
	res, out := attack(t, "echo $(ls /); ls -A /root /tmp /mnt | grep -v :; hostname; ls -d /proc/[0-9]* | wc -l; cut -d' ' -f2 /proc/mounts", nil)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if !res.OK() || len(lines) < 10 {
		t.Fatalf("%+v %s", res, out)
	}
	for _, name := range strings.Fields(lines[0]) {
		if !strings.Contains(" bin dev etc lib lib32 lib64 libx32 mnt proc root sbin sys tmp usr var ", " "+name+" ") {
			t.Errorf("/%s can be seen", name)
		}
	}
	var own int
	lines = lines[1:]
	for ; lines[0] == ""; lines = lines[1:] { // between the empty folders
	}
	if lines[0] != "builder" {
		t.Errorf("the host name is %q, or a folder that should be empty is not", lines[0])
	}
	if fmt.Sscan(lines[1], &own); own < 1 || own > 4 { // pid 1, the shell, and its pipe
		t.Errorf("%d processes can be seen", own)
	}
	for _, m := range lines[2:] {
		top, _, _ := strings.Cut(strings.TrimPrefix(m, "/"), "/")
		if !strings.Contains(" usr bin sbin lib lib32 lib64 libx32 etc dev proc sys  ", " "+top+" ") {
			t.Errorf("%s is mounted", m)
		}
	}
}

func TestBaseIsNotWritten(t *testing.T) {
	var layer string
	res, out := attack(t, "rm /etc/passwd && echo x > /etc/new && touch /tmp/mine && cat /etc/new", func(c *sandbox.Command) {
		layer = c.Layers[0]
		installer(c)
	})
	if !res.OK() || out != "x\n" {
		t.Errorf("root inside cannot change its own view: %+v %s", res, out)
	}
	if _, err := os.Stat(filepath.Join(layer, "etc/passwd")); err != nil {
		t.Errorf("the layer lost a file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(layer, "etc/new")); err == nil {
		t.Error("the layer got a file")
	}
	if res, out := attack(t, "echo x > /etc/new", nil); res.OK() {
		t.Errorf("a build wrote to /etc: %s", out)
	}
}

// TestHostileLayer gives a root folder whose /dev, /proc and bind target are links
// to a folder of the machine: nothing may appear there.
func TestHostileLayer(t *testing.T) {
	outside := t.TempDir()
	attack(t, "true", func(c *sandbox.Command) {
		top := filepath.Join(t.TempDir(), "top")
		if err := os.MkdirAll(top, 0o755); err != nil {
			t.Fatal(err)
		}
		c.Upper = filepath.Join(filepath.Dir(c.Work), "upper")
		for _, n := range []string{"dev", "shared"} {
			if err := os.Symlink(filepath.Join(outside, n), filepath.Join(top, n)); err != nil {
				t.Fatal(err)
			}
			// inside, the link leads to this folder of the upper layer
			if err := os.MkdirAll(filepath.Join(c.Upper, outside, n), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		c.Layers = append([]string{top}, c.Layers...)
		c.Binds = append(c.Binds, sandbox.Bind{Source: t.TempDir(), Target: "/shared/new/folder"})
	})
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) > 0 {
		t.Errorf("the machine's folder holds %v, %v", entries, err)
	}
}

func TestUpperIsKept(t *testing.T) {
	var upper string
	res, out := attack(t, "echo one > /kept; chown 7:8 /kept", func(c *sandbox.Command) {
		installer(c)
		upper = filepath.Join(filepath.Dir(c.Work), "upper")
		c.Upper = upper
	})
	if !res.OK() {
		t.Fatalf("%+v %s", res, out)
	}
	info, err := os.Stat(filepath.Join(upper, "kept"))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 7 || st.Gid != 8 {
		t.Errorf("kept file belongs to %d:%d", st.Uid, st.Gid)
	}
}

func TestForkBombIsBounded(t *testing.T) {
	res, out := attack(t, "bomb() { bomb & bomb; }; bomb", func(c *sandbox.Command) {
		c.Limits.Procs, c.Limits.Wall, c.Limits.Output = 50, 2*time.Second, 4096
	})
	if res.OK() {
		t.Errorf("%+v %s", res, out)
	}
	if pids := processesOf(t, slot); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

func TestLimitsOfFilesAndMemory(t *testing.T) {
	res, out := attack(t, "head -c 200000 /dev/zero > /tmp/big", func(c *sandbox.Command) { c.Limits.FileSize = 100000 })
	if res.OK() {
		t.Errorf("a file grew too large: %+v %s", res, out)
	}
	if res, out = attack(t, `python3 -c 'x = bytearray(300 << 20)'`, func(c *sandbox.Command) { c.Limits.Memory = 100 << 20 }); res.OK() {
		t.Errorf("memory grew too large: %+v %s", res, out)
	}
}

func TestPersonality32(t *testing.T) {
	res, out := attack(t, "uname -m", func(c *sandbox.Command) { c.Personality32 = true })
	if !res.OK() || out != "i686\n" && out != "armv8l\n" {
		t.Errorf("%+v %q", res, out)
	}
}

func TestUIDsAreChecked(t *testing.T) {
	needRoot(t)
	for _, ids := range [][2]int{{0, 0}, {0, slot}, {slot, 0}, {-1, -1}} {
		c := tools(t)
		c.Args, c.UID, c.GID = []string{"/bin/true"}, ids[0], ids[1]
		if _, err := (sandbox.Native{}).Run(t.Context(), c); err == nil {
			t.Errorf("a build ran as %v", ids)
		}
	}
}

// parent is this test's program as a supervisor that will be killed.
func parent(layer, work string) {
	c := sandbox.Command{Layers: []string{layer}, Work: work, UID: slot, GID: slot,
		Binds: []sandbox.Bind{{Source: "/usr", Target: "/usr", ReadOnly: true}},
		Args:  []string{"/usr/bin/sh", "-c", "trap '' TERM HUP; setsid sleep 1000 & echo hanging; sleep 1000"},
		Env:   []string{"PATH=/usr/bin"}, Output: os.Stdout}
	res, err := sandbox.Native{}.Run(context.Background(), c)
	fmt.Println("not killed:", res, err)
	os.Exit(1)
}

func TestSIGKILLOfTheParent(t *testing.T) {
	needRoot(t)
	before := mounts(t)
	c := tools(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"sandbox-parent", c.Layers[0], c.Work}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "hanging\n" {
		t.Fatalf("the parent says %q", line)
	}
	if n := len(processesOf(t, slot)); n < 2 {
		t.Fatalf("%d processes inside, want at least 2", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	deadline := time.After(10 * time.Second)
	for pids := processesOf(t, slot); len(pids) > 0; pids = processesOf(t, slot) {
		select {
		case <-deadline:
			t.Fatalf("processes %v are left", pids)
		case <-time.After(time.Millisecond):
		}
	}
	if after := mounts(t); after != before {
		t.Errorf("%d mounts, before %d", after, before)
	}
	if err := os.RemoveAll(c.Work); err != nil {
		t.Errorf("the work folder cannot be removed: %v", err)
	}
}

func mounts(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

// processesOf lists what runs as uid on this machine.
func processesOf(t *testing.T, uid int) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, d := range dirs {
		data, err := os.ReadFile(d + "/status") // it may have ended
		if err == nil && strings.Contains(string(data), fmt.Sprintf("\nUid:\t%d\t", uid)) && !strings.Contains(string(data), "\nState:\tZ") {
			pids = append(pids, filepath.Base(d))
		}
	}
	return pids
}

// alone is this test's program as one that speaks with the network.
func alone() {
	before, ready := make(chan bool), make(chan error)
	go func() { // a thread that was there already
		runtime.LockOSThread()
		<-before
		ready <- exec.Command("/bin/true").Run()
	}()
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
	}
	if err := sandbox.Alone(); err != nil {
		fmt.Println(err)
	}
	before <- true
	fmt.Println("run", errors.Is(<-ready, unix.EPERM), errors.Is(exec.Command("/bin/true").Run(), unix.EPERM))
	fmt.Println("namespace", unix.Unshare(unix.CLONE_NEWUSER))
	fmt.Println("trace", unix.PtraceAttach(1<<22)) // nobody: not ESRCH
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		defer l.Close()
		_, err = net.Dial("tcp", l.Addr().String())
	}
	fmt.Println("network", err)
	os.Exit(0)
}

func TestAlone(t *testing.T) {
	c := exec.Command("/proc/self/exe")
	c.Args[0] = "sandbox-alone"
	out, err := c.CombinedOutput()
	if want := "run true true\nnamespace operation not permitted\ntrace operation not permitted\nnetwork <nil>\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}
