package buildroot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"plague"
	"plague/internal/sandbox"

	"golang.org/x/sys/unix"
)

const (
	mockTick  = 100 * time.Millisecond // how soon what mock says is heard
	mockGrace = 10 * time.Second       // for mock to end by itself, which spares its caches
)

// process is a program as mock's account, in a session of its own.
func (m *Mock) process(argv []string, dir string, out *os.File) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TERM=dumb", "USER=" + m.User, "LOGNAME=" + m.User}
	groups := make([]uint32, len(m.Groups))
	for i, g := range m.Groups {
		groups[i] = uint32(g)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uint32(m.UID), Gid: uint32(m.GID), Groups: groups}}
	return cmd
}

// run runs mock and leaves in b.end how that ended. The error is another's trouble:
// the context's, a limit's, this machine's.
func (b *mockBuild) run(ctx context.Context, step func(plague.Phase)) error {
	argv, err := b.rebuild(b.mockFiles, b.spec, b.target)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(b.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	w, err := b.watch()
	if err != nil {
		return err
	}
	defer w.close()
	// What mock starts and loses comes to us: we know whom to kill.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	before := sandbox.MemoryKills()
	cmd := b.process(argv, b.dir, out)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run mock: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stopped := b.attend(ctx, w, step, done)
	if stopped != nil {
		terminate(cmd, done)
	}
	if err := killAll(children); err != nil {
		return err
	}
	err = drain(w, step, withDefaults(b.spec.Limits).Output)
	b.end.said, b.end.build = w.said.String(), w.build.String()
	b.kills = sandbox.MemoryKills() - before
	b.end.exit = cmd.ProcessState.ExitCode()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		b.used.Memory, b.used.Meter = usage.Maxrss<<10, plague.MeterProcess
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		b.end.signal = int(status.Signal())
	}
	if stopped != nil || b.end.signal != 0 {
		b.scrubKilled()
	}
	return errors.Join(stopped, err)
}

// attend follows mock until it has ended, or has to be stopped, which is the error.
func (b *mockBuild) attend(ctx context.Context, w *watch, step func(plague.Phase), done chan error) error {
	limits := withDefaults(b.spec.Limits)
	begun, tick := time.Now(), time.NewTicker(mockTick)
	defer tick.Stop()
	for {
		more, err := w.look(step)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("follow mock: %w", err)
		case w.longest() > limits.Output:
			return b.stopped(time.Since(begun), sandbox.TooLong)
		case time.Since(begun) > limits.Wall:
			return b.stopped(time.Since(begun), sandbox.TimeOut)
		case time.Since(w.heard) > limits.Idle:
			return b.stopped(time.Since(begun), sandbox.Idle)
		}
		if more {
			continue
		}
		select {
		case err := <-done:
			done <- err // for who waits for the end
			return nil
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// stopped is the error of a build that a limit has stopped. As long as nothing of the
// package ran, it is not its doing.
func (b *mockBuild) stopped(after time.Duration, why string) error {
	if b.end.at.built {
		return packageTrouble("rpmbuild was stopped after %s: %s", after.Round(time.Second), why)
	}
	return fmt.Errorf("mock was stopped after %s: %s", after.Round(time.Second), why)
}

// drain takes in the rest, as far as it is of use.
func drain(w *watch, step func(plague.Phase), most int64) error {
	for {
		more, err := w.look(step)
		if !more || err != nil || w.longest() > most {
			return err
		}
	}
}

// terminate asks mock to end, and ends it.
func terminate(cmd *exec.Cmd, done <-chan error) {
	late := time.NewTimer(mockGrace)
	defer late.Stop()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // one that has ended already is what is wanted
	select {
	case <-done:
		return
	case <-late.C:
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-done
}
