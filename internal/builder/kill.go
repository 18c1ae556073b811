package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// killTimeout is how long a process may take to die of SIGKILL.
const killTimeout = 10 * time.Second

// kill ends a supervisor that does not stop, and sweeps after it. What it started
// goes with it: its process group here, its sandbox's pid namespace and dnf by the
// signal that they get at its death.
func (w *Warden) kill(ctx context.Context, name string) error {
	pids, err := w.processes(name)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		w.Log.Warn("supervisor does not stop and is killed", "attempt", name, "pid", pid)
		if err := killGroup(pid); err != nil {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return w.sweepAfter(ctx, name)
}

// sweepAfter sweeps when a killed supervisor is gone, and what it was just forking
// with it: that holds its folder, too, until it becomes another program.
func (w *Warden) sweepAfter(ctx context.Context, name string) error {
	if err := w.died(ctx, name); err != nil {
		return err
	}
	_, err := w.sweep()
	return err
}

// processes finds an attempt's supervisor by its command line, for it may be an
// earlier warden's child. What it has just forked, to run something else, bears
// the same.
func (w *Warden) processes(name string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	want := strings.Join(w.supervisor(name).Args, "\x00") + "\x00"
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || string(line) != want { // it ended meanwhile, or is somebody else
			continue
		}
		// Anybody may call a process of theirs so; ours is root's.
		var st syscall.Stat_t
		if syscall.Stat(dir, &st) == nil && int(st.Uid) == os.Geteuid() {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killGroup kills a process and the group that it leads.
func killGroup(pid int) error {
	if group, err := syscall.Getpgid(pid); err == nil && group == pid {
		pid = -pid
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// died waits until no supervisor lives in an attempt's folder.
func (w *Warden) died(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for w.lives(name) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the supervisor of %s does not die: %w", name, ctx.Err())
		case <-t.C:
		}
	}
	return nil
}
