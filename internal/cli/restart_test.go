package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plague"
)

// gate is shell that goes on when a file appears in the sandbox's own build
// folder: a build that lasts as long as its test wants it to, and speaks.
const gate = "n=0\nuntil [ -e /builddir/go ]; do n=$((n+1)); echo tick $n; sleep 0.2; done\necho the gate is open"

// TestKilledProcesses: builds that run under their supervisors are picked up,
// not restarted, whatever else dies; invariant 6.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	b := f.builders[0]
	for _, tt := range []struct {
		name     string
		kill     func()
		attempts int
	}{
		{"daemon", func() { killPID(t, b.daemon()) }, 1},
		{"warden", func() { b.kill(); b.start() }, 1},
		{"server", func() { f.server.kill(); f.server.start() }, 1},
		{"all", func() { f.server.kill(); b.kill(); b.start(); f.server.start() }, 1},
		{"supervisor", func() {
			for pid := range supervisors(f.Dir) {
				killPID(t, pid)
			}
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t = t
			uid := f.submit(tinySRPM(t, tt.name, gate))
			f.building(uid)
			w := f.watch(uid)
			w.until("tick 3\n")
			seen := w.said()
			powerless(t, b.daemon())
			tt.kill()
			f.wait("the live log to go on", func(context.Context) error {
				if now := w.said(); len(now) > len(seen)+len("tick 10\n") {
					return nil
				}
				return errors.New(w.said())
			})
			f.openGates()
			job := f.until(uid, plague.JobNeedSign)
			w.end(0)
			if a := job.Archjobs[0]; a.Attempt != tt.attempts {
				t.Errorf("%d attempts, want %d", a.Attempt, tt.attempts)
			}
			log := f.result(t, job.Results, "build.log")
			if n := strings.Count(log, "\nbegun "); n != 1 {
				t.Errorf("build.log tells of %d builds, want one:\n%s", n, log)
			}
			if !strings.HasSuffix(w.said(), log) && tt.attempts == 1 && w.said() != log {
				t.Errorf("the watcher saw\n%s\nbuild.log is\n%s", w.said(), log)
			}
		})
	}
	f.t = t
	f.nothingLeft()
}

// powerless checks that a process, which speaks with the network, can do nothing that
// its account cannot, and gain nothing by a program with the set-uid bit.
func powerless(t *testing.T, pid int) {
	t.Helper()
	status := string(mustRead(t, fmt.Sprintf("/proc/%d/status", pid)))
	for _, want := range []string{"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "Groups:\t \n"} {
		if !strings.Contains(status, want) {
			t.Errorf("the daemon is not %q:\n%s", want, status)
		}
	}
	if strings.Contains(status, "Uid:\t0") {
		t.Errorf("the daemon is root:\n%s", status)
	}
	// proc(5): a process that its own account may not look into belongs to root there
	if mem, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid)); err != nil || mem.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("what runs as the daemon's account can read the daemon's key: %v", err)
	}
}

// TestDownAndUp: builds go on while the farm is down, and it finds them.
func TestDownAndUp(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	// `plague up` runs the builder of builder.cfg
	if err := os.Rename(f.file("builder", "builder1.cfg"), f.file("builder", "builder.cfg")); err != nil {
		t.Fatal(err)
	}
	plagueDo := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "plague", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("plague %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { exec.Command("plague", "down", "--dir", f.Dir).Run() })
	plagueDo("up", "--dir", f.Dir, "--detach")
	uid := f.submit(tinySRPM(t, "overnight", gate))
	f.building(uid)
	if out := plagueDo("down", "--dir", f.Dir); !strings.Contains(out, "the farm is down") {
		t.Errorf("plague down says %q", out)
	}
	if len(supervisors(f.Dir)) != 1 {
		t.Errorf("supervisors after plague down: %v, want the one", supervisors(f.Dir))
	}
	if _, errs, code := f.run("list"); code != 6 || !strings.Contains(errs, "Error connecting to build server") {
		t.Errorf("list while it is down: exit %d, %s", code, errs)
	}
	f.openGates()
	f.wait("the build to end without the farm", func(context.Context) error {
		if n := len(supervisors(f.Dir)); n > 0 {
			return fmt.Errorf("%d supervisors", n)
		}
		return nil
	})
	plagueDo("up", "--dir", f.Dir, "--detach")
	if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 {
		t.Errorf("%d attempts, want one", job.Archjobs[0].Attempt)
	}
	if got := f.published(); strings.Join(got, " ") != "overnight-1-1" {
		t.Errorf("the repository holds %v", got)
	}
	plagueDo("down", "--dir", f.Dir)
	f.nothingLeft()
}

func killPID(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil || pid == 0 {
		t.Errorf("kill %d: %v", pid, err)
	}
}

// openGates lets all builds go on.
func (f *processFarm) openGates() {
	f.t.Helper()
	f.wait("the gate of a build", func(ctx context.Context) error {
		dirs := f.work("roots", "*", "own", "builddir")
		if len(dirs) == 0 {
			return errors.New("no build folder")
		}
		for _, dir := range dirs {
			if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// result reads a log out of a job's result tree.
func (f *processFarm) result(t *testing.T, results, name string) string {
	t.Helper()
	files, err := filepath.Glob(f.file("results", results, "*", name))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s of %s: %v, %v", name, results, files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// watcherProcess is a command that goes on, such as `plague watch`.
type watcherProcess struct {
	f    *processFarm
	out  string // file with what it has said
	cmd  *exec.Cmd
	done chan error
}

func (f *processFarm) watch(uid plague.JobID) *watcherProcess {
	f.t.Helper()
	return f.goOn("watch", fmt.Sprint(uid))
}

func (f *processFarm) goOn(args ...string) *watcherProcess {
	f.t.Helper()
	w := &watcherProcess{f: f, out: filepath.Join(f.t.TempDir(), "watched"), done: make(chan error, 1)}
	out, err := os.Create(w.out)
	if err != nil {
		f.t.Fatal(err)
	}
	defer out.Close()
	w.cmd = exec.CommandContext(f.t.Context(), "plague", args...)
	w.cmd.Env = append(os.Environ(), clientConfigEnv+"="+f.Client)
	var errs bytes.Buffer
	w.cmd.Stdout, w.cmd.Stderr = out, &errs
	if err := w.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		err := w.cmd.Wait()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, errs.String())
		}
		w.done <- err
	}()
	return w
}

func (w *watcherProcess) said() string {
	data, err := os.ReadFile(w.out)
	if err != nil {
		w.f.t.Fatal(err)
	}
	return string(data)
}

func (w *watcherProcess) until(text string) {
	w.f.t.Helper()
	w.f.wait("the watcher to say "+text, func(context.Context) error {
		if !strings.Contains(w.said(), text) {
			return errors.New(w.said())
		}
		return nil
	})
}

// end waits for the watcher's end.
func (w *watcherProcess) end(code int) {
	w.f.t.Helper()
	if err := <-w.done; w.cmd.ProcessState.ExitCode() != code {
		w.f.t.Errorf("watch ended with %v, want exit code %d", err, code)
	}
}

// nothingLeft waits until the builders have forgotten their attempts, and looks
// whether anything of a build is left: process, mount, folder.
func (f *processFarm) nothingLeft() {
	f.t.Helper()
	f.wait("attempts to be forgotten", func(context.Context) error {
		if dirs := f.work("daemon", "attempts", "*"); len(dirs) > 0 {
			return fmt.Errorf("%v", dirs)
		}
		return nil
	})
	f.wait("buildroots to be swept", func(context.Context) error {
		if roots := f.work("roots", "*"); len(roots) > 0 {
			return fmt.Errorf("%v", roots)
		}
		return nil
	})
	if all := supervisors(f.Dir); len(all) > 0 {
		f.t.Errorf("supervisors are left: %v", all)
	}
	if all := mounts(f.t, f.Dir); len(all) > 0 {
		f.t.Errorf("mounts are left: %v", all)
	}
	if all := f.buildProcesses(); len(all) > 0 {
		f.t.Errorf("processes of builds are left: %v", all)
	}
}

// buildProcesses lists processes that run as one of the slots' users.
func (f *processFarm) buildProcesses() []string {
	f.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		f.t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		var st syscall.Stat_t
		if syscall.Stat(file, &st) == nil && int(st.Uid) >= f.site.uid() && int(st.Uid) < f.site.uid()+siteUIDs {
			data, _ := os.ReadFile(file + "/cmdline") // gone: then it has none
			all = append(all, filepath.Base(file)+" "+strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return all
}
