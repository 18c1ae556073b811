package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"plague"
)

// TestReload: at a SIGHUP server and builder take over what their configuration says
// now, while a build runs; of one with a mistake nothing, and they say so.
func TestReload(t *testing.T) {
	t.Parallel()
	if nativeArches()[0] != "x86_64" {
		t.Skip("these arches need a machine that is x86_64")
	}
	f := newProcessFarm(t, shape{builders: 1, slots: 1, arches: []string{"x86_64", "i686"}})
	f.start()
	overnight := f.submit(tinySRPM(t, "overnight", gate))
	f.building(overnight)
	supervisor, _ := f.supervisor()

	f.reloadsBuilder()
	target := f.file("server", "targets", f.Target+".cfg")
	if job := f.until(f.submit(archSRPM(t, "both")), plague.JobNeedSign); len(job.Archjobs) != 2 {
		t.Errorf("%d arch jobs before, want two: %+v", len(job.Archjobs), job.Archjobs)
	}
	f.addTarget("core", "")
	f.rewrite(target, "base_arches = x86_64 i686", "base_arches = x86_64")
	f.hangup(f.server, "configuration read again")
	if job := f.until(f.submit(archSRPM(t, "one")), plague.JobNeedSign); len(job.Archjobs) != 1 {
		t.Errorf("%d arch jobs for a target with one arch: %+v", len(job.Archjobs), job.Archjobs)
	}
	f.rewrite(target, "base_arches = x86_64", "base_arches = x86_64 i686")
	f.hangup(f.server, "configuration read again")
	if job := f.until(f.submit(archSRPM(t, "again")), plague.JobNeedSign); len(job.Archjobs) != 2 {
		t.Errorf("%d arch jobs when the arch is back: %+v", len(job.Archjobs), job.Archjobs)
	}
	for arch, want := range map[string]string{"x86_64": "again.x86_64 both.x86_64 one.x86_64", "i686": "again.i686 both.i686"} {
		if got := strings.Join(f.publishedFor(arch), " "); got != want {
			t.Errorf("the repository for %s holds %s, want %s", arch, got, want)
		}
	}
	f.Target, target = "lab-core-extras", f.Target
	f.until(f.submitTo("lab-core-extras", tinySRPM(t, "incore", ":")), plague.JobNeedSign)
	if got := strings.Join(f.published(), " "); got != "incore-1-1" {
		t.Errorf("the new target's repository holds %s", got)
	}
	f.Target = target

	bad := f.file("server", "targets", "bad.cfg")
	if err := errors.Join(os.WriteFile(bad, []byte("[General]\ndistrro = lab\n"), 0o644), os.Remove(f.file("server", "targets", "core.cfg"))); err != nil {
		t.Fatal(err)
	}
	f.hangup(f.server, "configuration not read again, the old one stays")
	f.refuses("server --check -c "+f.file("server", "server.cfg"), "bad.cfg:2: ")
	f.says("status", "the server goes on with its old configuration: ", "bad.cfg:2: ", "distrro")
	f.until(f.submitTo("lab-core-extras", tinySRPM(t, "incoretoo", ":")), plague.JobNeedSign)
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	f.configure("lease = 100\n")
	f.hangup(f.server, "what else has changed in the configuration waits for a restart")
	if err := f.shows("status", "old configuration"); err == nil {
		t.Error("status still complains of a configuration that was mended")
	}
	if out, errs, code := f.run("build", tinySRPM(t, "late", ":"), "lab-core-extras"); code != 2 || !strings.Contains(errs, "does not support the target lab-core-extras") {
		t.Errorf("a job for a target that is gone: exit %d, %s%s", code, out, errs)
	}

	if now, _ := f.supervisor(); now != supervisor {
		t.Errorf("the build has supervisor %d, want %d", now, supervisor)
	}
	f.openGates()
	if job := f.until(overnight, plague.JobNeedSign); job.Archjobs[0].Attempt != 1 {
		t.Errorf("%d attempts, want one", job.Archjobs[0].Attempt)
	}
	f.nothingLeft()
}

// reloadsBuilder gives the builder another slot, then a mistake.
func (f *processFarm) reloadsBuilder() {
	f.t.Helper()
	b, config := f.builders[0], f.file("builder", "builder1.cfg")
	slots := func(n int) func(context.Context) error {
		return func(ctx context.Context) error {
			if r, err := f.builder(ctx, b.name); err != nil || !r.Alive || r.NumSlots != n {
				return fmt.Errorf("%+v, %w", r, err)
			}
			return nil
		}
	}
	warden := b.cmd.Process.Pid
	f.rewrite(config, "slots = 1\n", "slots = 2\n")
	f.hangup(b, "configuration read again")
	f.wait("the second slot", slots(2))
	f.rewrite(config, "slots = 2\n", "slots = 5000\n")
	f.hangup(b, "configuration not read again, the old one stays")
	f.rewrite(config, "slots = 5000\n", "slots = 2\nfirst_uid = 4000\n")
	f.hangup(b, "waits for a restart")
	f.says("builder --check -c "+config, config+" can be used.\n")
	f.wait("the slots as they were", slots(2))
	if b.cmd.Process.Pid != warden || b.daemon() == 0 {
		f.t.Errorf("the builder is another process now, or has no daemon")
	}
}

// hangup sends a process SIGHUP, and waits for what it says then.
func (f *processFarm) hangup(p *process, says string) {
	f.t.Helper()
	before := len(mustRead(f.t, p.log()))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		f.t.Fatal(err)
	}
	f.wait(p.name+" to say "+says, func(context.Context) error {
		if said := string(mustRead(f.t, p.log())[before:]); !strings.Contains(said, says) {
			return errors.New(said)
		}
		return nil
	})
}

func (f *processFarm) rewrite(file, old, text string) {
	f.t.Helper()
	if err := f.edit(file, old, text); err != nil {
		f.t.Fatal(err)
	}
}

// archSRPM is a source package whose package is another for each arch.
func archSRPM(t *testing.T, name string) string {
	t.Helper()
	return specSRPM(t, name, "%global debug_package %{nil}\n"+strings.Replace(spec(name, ":"), "BuildArch: noarch\n", "", 1))
}

// submitTo submits an SRPM for a target.
func (f *processFarm) submitTo(target, srpm string) plague.JobID {
	f.t.Helper()
	out, errs, code := f.run("build", "--json", srpm, target)
	var answer struct{ UID plague.JobID }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 {
		f.t.Fatalf("build for %s: exit %d, %v\n%s%s", target, code, err, out, errs)
	}
	return answer.UID
}
