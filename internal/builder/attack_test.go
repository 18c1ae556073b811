package builder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests are a daemon that somebody has taken over: what it may send to the warden,
// what it may write where root reads, and what it may leave behind.

// attacked is a warden that starts supervisors which only say that they were started.
type attacked struct {
	*Warden
	t       *testing.T
	log     bytes.Buffer
	started int
	kept    int
	conn    net.Conn
	answers *bufio.Reader
}

func attack(t *testing.T) *attacked {
	t.Helper()
	work, _ := journalled(t)
	a := &attacked{t: t}
	a.Warden = &Warden{
		Work: work, Attempts: "daemon/attempts", Sweep: func([]string) error { return nil }, Log: slog.New(slog.NewTextHandler(&a.log, nil)),
		Supervise: func(string) *exec.Cmd { a.started++; return exec.Command("sh", "-c", "echo ready >&3") },
		Keep:      func([]byte) error { a.kept++; return errors.New("no such certificate") },
	}
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	if a.conn, err = net.FileConn(theirs); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(theirs.Close(), a.conn.SetDeadline(time.Now().Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	a.answers = bufio.NewReader(a.conn)
	served := make(chan error, 1)
	go func() { served <- a.serve(t.Context(), ours) }()
	t.Cleanup(func() {
		a.conn.Close()
		if err := <-served; err != nil {
			t.Errorf("the warden ends with %v", err)
		}
		ours.Close()
	})
	return a
}

func (a *attacked) answer() (r reply) {
	a.t.Helper()
	line, err := a.answers.ReadBytes('\n')
	if err != nil {
		a.t.Fatal(err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		a.t.Fatal(err)
	}
	return r
}

func (a *attacked) ask(line string) reply {
	a.t.Helper()
	if _, err := io.WriteString(a.conn, line+"\n"); err != nil {
		a.t.Fatal(err)
	}
	return a.answer()
}

// What is no name of an attempt starts, ends and keeps nothing, and fills no log.
func TestWardenRefuses(t *testing.T) {
	a := attack(t)
	names := []string{"", ".", "..", "/", "/etc", "1-1/", "./1-1", "../attempts/1-1", "1-1/../../..", "1-1/.", "-1-1", "--help", "-rf", "1-1 ", " 1-1",
		"1-1\x00", "1\x00-1", "1-1\n", "\n1-1", "1-1\n2-2", "１-１", "1--1", "1-1-1", "+1-1", "0x1-1", "1e1-1", "1-1*", "*", "$(id)", "1-1;id",
		"1234567890123456789-1", "1-1234567890", "warden.lock", "1-1\r", strings.Repeat("1", 60000) + "-1"}
	for _, name := range names {
		for _, verb := range []string{"start", "kill"} {
			line, err := json.Marshal(map[string]string{verb: name})
			if err != nil {
				t.Fatal(err)
			}
			if r := a.ask(string(line)); r.Error == "" || len(r.Error) > 300 {
				t.Errorf("%s of %.50q: %.400q", verb, name, r.Error)
			}
		}
	}
	for _, line := range []string{"", "{", "{}", "null", "[]", "7", `"1-1"`, `["start","1-1"]`, `{"start":["1-1"]}`, `{"start":{"start":"1-1"}}`, `{"start":11}`,
		`{"run":"1-1"}`, `{"sweep":"1-1"}`, `{"mount":"/etc","on":"/"}`, `{"uid":0}`, `{"start":null}`, `{"keep":"` + "bm8=" + `"}`, `{"keep":7}`, `{"keep":""}`,
		"start 1-1", "\xff\xfe", `{"start":"1-1"} {"start":"1-1"}`, strings.Repeat("[", 20000), `{"kill":"..","start":"1-1"}`} {
		if r := a.ask(line); r.Error == "" {
			t.Errorf("%.50q was done", line)
		}
	}
	if a.started != 0 || a.kept != 1 {
		t.Errorf("%d were started, %d were looked at to be kept; want 0 and 1", a.started, a.kept)
	}
	if all := len(names)*2 + 30; a.log.Len() > all*500 {
		t.Errorf("the log has %d bytes of %d requests", a.log.Len(), all)
	}
	if r := a.ask(`{"start":"1-1"}`); r.Error != "" || a.started != 1 {
		t.Errorf("after all that an attempt is not started: %s", r.Error)
	}
}

// Files that come along with a request are nobody's.
func TestWardenTakesNoFiles(t *testing.T) {
	a := attack(t)
	before := files(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fds := make([]int, 200)
	for i := range fds {
		fds[i] = int(null.Fd())
	}
	for range 100 {
		if _, _, err := a.conn.(*net.UnixConn).WriteMsgUnix([]byte("{\"start\":\"..\"}\n"), unix.UnixRights(fds...), nil); err != nil {
			t.Fatal(err)
		}
		if r := a.answer(); r.Error == "" {
			t.Error("it was done")
		}
	}
	if now := files(t); now > before+1 {
		t.Errorf("%d files are open, %d were", now, before)
	}
}

// files counts what this process has open.
func files(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// hostile runs a warden whose daemon is a script that has the warden on file 3; the
// shell's own processes say on alive that they live.
func hostile(t *testing.T, script string) (ended chan error, alive *bufio.Reader, stop func()) {
	t.Helper()
	work, _ := journalled(t)
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w := &Warden{Work: work, Attempts: "daemon/attempts", Sweep: func([]string) error { return nil }, Log: slog.New(slog.DiscardHandler),
		Daemon: func() *exec.Cmd {
			c := exec.Command("bash", "-c", script)
			c.Stdout = out
			return c
		}}
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- w.Run(ctx); out.Close() }()
	return ended, bufio.NewReader(r), stop
}

// ends waits for a warden's end.
func ends(t *testing.T, ended chan error) error {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		t.Fatal("the warden goes on")
		return nil
	}
}

// A daemon that says more than any does is ended, and nothing of what it says is kept.
func TestWardenEndsWhoSaysTooMuch(t *testing.T) {
	ended, alive, _ := hostile(t, `trap "" TERM; echo up; head -c 10000000 /dev/zero >&3; while :; do sleep 1; done`)
	if line, err := alive.ReadString('\n'); line != "up\n" {
		t.Fatal(line, err)
	}
	if err := ends(t, ended); !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("it ended with %v", err)
	}
}

// A daemon that leaves half a request, and something that holds its end of the socket,
// keeps the warden neither from its own end nor from that of the builder.
func TestWardenEndsThoughItsSocketIsHeld(t *testing.T) {
	for name, script := range map[string]string{
		"the daemon ends":  `printf '{"start":"1-'>&3; setsid sleep 300 & echo $!`,
		"the builder ends": `printf '{"start":"1-'>&3; setsid sleep 300 & echo $!; wait`,
		"answers not read": `setsid sleep 300 & echo $!; while :; do echo '{"kill":"1-1111111111111111"}' >&3; done`,
	} {
		t.Run(name, func(t *testing.T) {
			ended, alive, stop := hostile(t, script)
			var pid int
			if _, err := fmt.Fscanln(alive, &pid); err != nil {
				t.Fatal(err)
			}
			defer syscall.Kill(pid, syscall.SIGKILL)
			if name != "the daemon ends" {
				stop()
			}
			_ = ends(t, ended)
		})
	}
}

// Somebody else's process that is called like a supervisor is not the warden's to kill.
func TestKillsNoNamesake(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root starts processes of others")
	}
	w := &Warden{Supervise: func(dir string) *exec.Cmd { return exec.Command("sh", "-c", "echo up; read x", dir) }}
	for uid, want := range map[uint32]int{65534: 0, 0: 1} {
		one := w.supervisor("1-1")
		one.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{}}}
		hold, err := one.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		up, err := one.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(up).ReadString('\n'); err != nil {
			t.Error(err)
		}
		if pids, err := w.processes("1-1"); err != nil || len(pids) != want {
			t.Errorf("of uid %d: %v, %v", uid, pids, err)
		}
		hold.Close()
		one.Wait()
	}
}

// However many connections somebody opens to a supervisor and leaves, it keeps a few
// of them, and hears who says stop.
func TestControlKeepsFewConnections(t *testing.T) {
	dir := t.TempDir()
	stopped := make(chan struct{}, 1)
	c, err := TakeControl(dir, os.Getuid(), func() { stopped <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); c.Serve() }()
	for range 500 {
		conn, err := dial(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := stopSupervisor(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case <-stopped:
	case <-late.C:
		t.Error("stop was not heard")
	}
	c.mu.Lock()
	if len(c.conns) > maxDaemons {
		t.Errorf("it keeps %d connections", len(c.conns))
	}
	c.mu.Unlock()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-served
}

// The supervisor's socket is the daemon's alone, whatever the umask is: a build that got
// out of its sandbox stops no other.
func TestSocketIsOneAccounts(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	c, err := TakeControl(dir, os.Getuid(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if info, err := os.Stat(filepath.Join(dir, controlFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
