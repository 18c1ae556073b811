package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// supervisors lists the processes that supervise attempts below a folder, by
// their attempt's folder. What a supervisor forks bears its name, and leads a
// session, too, until it runs something else: it has the supervisor for a parent.
func supervisors(dir string) map[int]string {
	all := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, file := range files {
		var pid int
		fmt.Sscanf(file, "/proc/%d/", &pid)
		if attempt, ok := supervises(pid); ok && strings.HasPrefix(attempt, dir) {
			if of, child := supervises(parent(pid)); !child || of != attempt {
				all[pid] = attempt
			}
		}
	}
	return all
}

// supervises tells by its command line whether a process is a supervisor, and of
// which attempt.
func supervises(pid int) (attempt string, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	words := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	if err != nil || len(words) != 3 || words[1] != "supervise" {
		return "", false
	}
	return words[2], true
}

// parent is the parent of a process; 0: it is gone.
func parent(pid int) (ppid int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// proc(5): the name in parentheses may hold anything, then come state and parent
	fmt.Sscanf(string(data[bytes.LastIndexByte(data, ')')+1:]), " %c %d", new(rune), &ppid)
	return ppid
}

func killSupervisors(t *testing.T, dir string) {
	for pid := range supervisors(dir) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("kill supervisor %d: %v", pid, err)
		}
	}
	for end := time.Now().Add(time.Minute); len(supervisors(dir)) > 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("supervisors do not die: %v", supervisors(dir))
			return
		}
	}
}

// process is a server or a builder. One that ends by itself is started again,
// as `plague up` and systemd do: the one before may still hold its door.
type process struct {
	farm    *processFarm
	name    string
	account string // runs as it; empty: as root
	network string // namespace in which it runs; empty: the test's
	args    []string
	binary  string // of another version; empty: the test's own
	apart   string // a shell command that comes first, in a mount namespace of its own

	mu   sync.Mutex // guards the fields below
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	down bool          // it was killed, and is not to be started again
}

func (p *process) log() string { return p.farm.file(p.name + ".log") }

func (p *process) start() {
	p.farm.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
	if err := p.begin(); err != nil {
		p.farm.t.Fatalf("%s: %v", p.name, err)
	}
}

// begin starts the process. p.mu is held.
func (p *process) begin() error {
	log, err := os.OpenFile(p.log(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("plague", p.args...)
	if p.network != "" {
		cmd = exec.Command("nsenter", slices.Concat(within(p.network), []string{"plague"}, p.args)...)
	}
	if p.apart != "" {
		cmd = exec.Command("unshare", append([]string{"--mount", "sh", "-c", p.apart + ` && exec plague "$@"`, "sh"}, p.args...)...)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.account != "" {
		if cmd.SysProcAttr.Credential, err = ensureAccount(p.account); err != nil {
			return err
		}
		cmd.Path, cmd.Args[0] = "/proc/self/exe", "plague" // the account cannot reach the test's own folder
	}
	if p.binary != "" {
		cmd.Path = p.binary
	}
	if p.farm.path != "" {
		cmd.Env = append(os.Environ(), "PATH="+p.farm.path)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go p.attend(cmd, p.done)
	return nil
}

// attend waits for the end of a process, and starts it again if nobody wanted it.
func (p *process) attend(cmd *exec.Cmd, done chan struct{}) {
	cmd.Wait() // how it ended is in its log
	close(done)
	<-time.After(firstPause)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down || p.cmd != cmd {
		return
	}
	if err := p.begin(); err != nil {
		p.farm.t.Errorf("%s: %v", p.name, err)
	}
}

// kill kills the process and waits for its end.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// end ends the process with a signal, and waits until it has ended.
func (p *process) end(sig syscall.Signal) {
	p.mu.Lock()
	p.down = true
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Signal(sig) // one that has ended already has what it shall have
	select {
	case <-done:
	case <-time.After(time.Minute):
		p.farm.t.Errorf("%s does not end", p.name)
	}
}

// daemon is the pid of a builder's unprivileged half; 0: there is none now.
func (p *process) daemon() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	for _, pid := range children(p.cmd.Process.Pid) {
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(data), "builder-daemon") {
			return pid
		}
	}
	return 0
}
