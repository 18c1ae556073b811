package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"plague"
	"plague/internal/wire"
)

// TestRelease: the spec file and the program say the same of which version this is.
func TestRelease(t *testing.T) {
	spec := string(mustRead(t, filepath.Join("..", "..", "packaging", "plague.spec")))
	if m := regexp.MustCompile(`(?m)^Version: *(.*)$`).FindStringSubmatch(spec); m == nil || m[1] != wire.Release() {
		t.Errorf("the spec file has version %q, the program %q", m, wire.Release())
	}
}

// TestTakeover: another version takes over from one that was told to end, up and down
// by one minor version, the builder first and the server first. The build that runs goes
// on under the supervisor it has, and is finished once, as the attempt it was.
func TestTakeover(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	next := f.program("1.1.3")
	f.start()
	b := f.builders[0]
	for _, tt := range []struct {
		name   string
		who    *process
		binary string
	}{
		{"builderup", b, next},
		{"serverup", f.server, next},
		{"builderdown", b, ""},
		{"serverdown", f.server, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t = t
			before := f.running(b.cmd.Process.Pid)
			uid := f.submit(tinySRPM(t, tt.name, gate))
			f.building(uid)
			w := f.watch(uid)
			w.until("tick 3\n")
			seen := w.said()
			supervisor, old := f.supervisor()
			if old != before {
				t.Errorf("the supervisor is of %s, the builder of %s", old, before)
			}
			begun := time.Now()
			tt.who.end(syscall.SIGTERM)
			if took := time.Since(begun); took > shutdownGrace || tt.who.cmd.ProcessState.ExitCode() != 0 {
				t.Errorf("%s took %s and ended with %v", tt.who.name, took, tt.who.cmd.ProcessState)
			}
			tt.who.binary = tt.binary
			tt.who.start()
			f.wait("the live log to go on", func(context.Context) error {
				if len(w.said()) > len(seen)+len("tick 10\n") {
					return nil
				}
				return errors.New(w.said())
			})
			if again, program := f.supervisor(); again != supervisor || program != old {
				t.Errorf("supervisor %d of %s, want %d of %s", again, program, supervisor, old)
			}
			if now := f.running(tt.who.cmd.Process.Pid); (now == next) != (tt.binary == next) {
				t.Errorf("%s is of %s now, want %q", tt.who.name, now, tt.binary)
			}
			f.openGates()
			job := f.until(uid, plague.JobNeedSign)
			w.end(0)
			if a := job.Archjobs[0]; a.Attempt != 1 {
				t.Errorf("%d attempts, want one", a.Attempt)
			}
			if log := f.result(t, job.Results, "build.log"); strings.Count(log, "\nbegun ") != 1 || !strings.HasSuffix(w.said(), log) {
				t.Errorf("the watcher saw\n%s\nbuild.log is\n%s", w.said(), log)
			}
		})
	}
	f.t = t
	f.nothingLeft()
}

// program builds the program as if it were of another version, where the farm's
// accounts reach it.
func (f *processFarm) program(version string) string {
	f.t.Helper()
	file := f.file("plague-" + version)
	c := exec.CommandContext(f.t.Context(), mustLook(f.t, "go"), "build", "-buildvcs=false", "-ldflags=-X plague/internal/wire.release="+version, "-o", file, "plague/cmd/plague")
	if out, err := c.CombinedOutput(); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(f.t.Context(), file, "version").Output()
	if err != nil || string(out) != "plague "+version+"\n" {
		f.t.Fatalf("%s says it is %q, %v", file, out, err)
	}
	return file
}

// running is the program that a process runs.
func (f *processFarm) running(pid int) string {
	f.t.Helper()
	file, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		f.t.Fatal(err)
	}
	return file
}

// supervisor is the one supervisor of the farm, and its program.
func (f *processFarm) supervisor() (pid int, program string) {
	f.t.Helper()
	all := supervisors(f.Dir)
	if len(all) != 1 {
		f.t.Fatalf("supervisors: %v, want one", all)
	}
	for pid = range all {
		program = f.running(pid)
	}
	return pid, program
}

// TestVersionsApart: two minor versions between server and builder, whichever is the
// newer, are refused, and both sides say why; with one between them they work together.
// TestTakeover has builds under all that is allowed.
func TestVersionsApart(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	next, overnext := f.program("1.1.0"), f.program("1.2.0")
	b := f.builders[0]
	b.binary = overnext
	f.server.start()
	b.start()
	f.apart("1.2.0", "1.0.0")
	first := f.submit(tinySRPM(t, "first", ":"))
	f.runs(f.server, next)
	f.until(first, plague.JobNeedSign)

	f.runs(b, "")
	f.wait("a builder of an older version", f.takes(b.name))
	f.runs(f.server, overnext)
	f.apart("1.0.0", "1.2.0")
	second := f.submit(tinySRPM(t, "second", ":"))
	f.runs(b, next)
	f.until(second, plague.JobNeedSign)
	f.nothingLeft()
}

// apart waits until the farm says that builder and server are too far apart.
func (f *processFarm) apart(builder, server string) {
	f.t.Helper()
	why := fmt.Sprintf("builder builder1 is of version %s, the server of %s: versions %s and %s are more than one minor version apart", builder, server, builder[:3], server[:3])
	f.wait("the farm to say "+why, func(context.Context) error { return f.shows("list_builders", why) })
	if log := string(mustRead(f.t, f.builders[0].log())); !strings.Contains(log, `msg="orders refused" server=`+server) {
		f.t.Errorf("the builder's log says nothing of it:\n%s", log)
	}
}

// runs ends a process and has another version run in its place.
func (f *processFarm) runs(p *process, binary string) {
	f.t.Helper()
	p.end(syscall.SIGTERM)
	p.binary = binary
	p.start()
}
