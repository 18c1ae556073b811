package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// benchProcess is a server or a builder that runs.
type benchProcess struct {
	kind string
	cmd  *exec.Cmd
	done chan error
}

// start starts the server and the builders. The server's port is open before a
// builder needs it, or the builder tries again.
func (f *benchFarm) start(builders int) error {
	account, err := ensureAccount("plague-server")
	if err != nil {
		return err
	}
	commands := []*benchProcess{{kind: "server", cmd: self("server", "-c", f.path("server", "server.cfg"))}}
	commands[0].cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
	for i := range builders {
		p := &benchProcess{kind: "builder", cmd: self("builder", "-c", f.path("builder", fmt.Sprintf("builder%d.cfg", i+1)))}
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		commands = append(commands, p)
	}
	for _, p := range commands {
		p.cmd.Stdout, p.cmd.Stderr = f.log, f.log
		if err := p.cmd.Start(); err != nil {
			return fmt.Errorf("%s: %w", p.kind, err)
		}
		p.done = make(chan error, 1)
		go func() { p.done <- p.cmd.Wait() }()
		f.processes = append(f.processes, p)
	}
	return nil
}

// begun waits until the server answers; one that has ended never will.
func (f *benchFarm) begun(ctx context.Context) error {
	server := f.processes[0]
	for p := (patience{first: 50 * time.Millisecond, most: time.Second, limit: upTimeout}); ; {
		c, err := connectWith(f.farm.Client)
		if err == nil {
			_, err = c.Status(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case end := <-server.done:
			server.done <- end
			said, _ := os.ReadFile(f.log.Name())
			text := strings.TrimSpace(string(said))
			return fmt.Errorf("the server has ended: %v: %s", end, oneLine(text[strings.LastIndexByte(text, '\n')+1:]))
		default:
		}
		if !p.wait(ctx) {
			return err
		}
	}
}

// pids lists the processes of the farm, and those that they started.
func (f *benchFarm) pids() map[string][]int {
	all := map[string][]int{}
	for _, p := range f.processes {
		all[p.kind] = append(append(all[p.kind], p.cmd.Process.Pid), children(p.cmd.Process.Pid)...)
	}
	return all
}

// children lists the processes that one has started.
func children(pid int) []int {
	var all []int
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // its thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(append(all, child), children(child)...)
			}
		}
	}
	return all
}

// stop stops the farm's processes, builders first.
func (f *benchFarm) stop() error {
	var errs []error
	for i := len(f.processes) - 1; i >= 0; i-- {
		errs = append(errs, stopProcess(f.processes[i].cmd, f.processes[i].done))
	}
	f.processes = nil
	return errors.Join(errs...)
}

// close stops the farm and gives up its folder.
func (f *benchFarm) close() error {
	errs := []error{f.stop()}
	if f.log != nil {
		errs = append(errs, f.log.Close())
	}
	if !f.keep {
		f.over(f.Dir)
	}
	return errors.Join(errs...)
}
