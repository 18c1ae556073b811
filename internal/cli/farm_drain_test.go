package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plague"
)

// TestFarmDrains: a drained builder ends what it builds and gets nothing new, whatever
// is restarted meanwhile; and one that cannot do what another can drains itself.
func TestFarmDrains(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 2, slots: 1})
	f.start()
	f.wait("both builders", f.takes("builder1", "builder2"))
	first := f.submit(tinySRPM(t, "first", gate))
	f.building(first)

	f.says("builder drain builder1 --why tuesday", "Builder builder1 is drained: what it builds it ends, and it gets nothing new.\n")
	f.says("builder list", "(builder1): suspended: drained by "+f.User+" at ", ": tuesday, 0 of 1 slots free")
	f.says("builder show builder1", fmt.Sprintf("runs:     job %d first noarch, attempt 1, running (building) since ", first))
	f.refuses("builder drain builder1", "builder builder1 is drained already; `plague builder show builder1` says by whom and why")
	f.refuses("builder drain builder3", `there is no builder "builder3"; did you mean builder1?`)
	f.refuses("builder resume builder2", "builder builder2 is not drained")
	guest := f.newUser("guest@example.com", "own_jobs")
	for _, command := range []string{"drain", "resume"} {
		if _, errs, code := f.runAs(guest, "builder", command, "builder1"); code != 3 || !strings.Contains(errs, "server_admin") {
			t.Errorf("a guest's %s: exit %d, %s", command, code, errs)
		}
	}

	f.server.kill()
	f.server.start()
	f.wait("the drain after a restart", func(ctx context.Context) error { return f.shows("builder show builder1", ": tuesday") })
	second := f.submit(tinySRPM(t, "second", ":"))
	if job := f.until(second, plague.JobNeedSign); job.Archjobs[0].BuilderAddr != "builder2" {
		t.Errorf("the second job was built by %s", job.Archjobs[0].BuilderAddr)
	}
	f.openGates()
	if job := f.until(first, plague.JobNeedSign); job.Archjobs[0].BuilderAddr != "builder1" || job.Archjobs[0].Attempt != 1 {
		t.Errorf("the first job: %+v", job.Archjobs)
	}
	f.says("builder show builder1", "slots:    1 of 1 free", fmt.Sprintf("ended:    job %d first noarch, attempt 1, done at ", first))
	f.says("builder resume builder1", "Builder builder1 takes work again.\n")
	f.wait("both builders again", f.takes("builder1", "builder2"))
	f.breaks()
}

// breaks breaks the first builder's cache until the farm has had enough, mends it, and
// has it resumed.
func (f *processFarm) breaks() {
	f.t.Helper()
	cache := filepath.Join(f.works[0], "cache")
	if err := os.Rename(cache, cache+".away"); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(cache, nil, 0o600); err != nil {
		f.t.Fatal(err)
	}
	n := 0
	f.wait("the first builder to drain itself", func(ctx context.Context) error {
		n++
		f.until(f.submit(tinySRPM(f.t, fmt.Sprint("try", n), ":")), plague.JobNeedSign)
		return f.shows("builder show builder1", "suspended: drained by the farm itself at ", " failed here and were built elsewhere; the last: ")
	})
	if n < sickJobs {
		f.t.Errorf("%d jobs were enough", n)
	}
	if err := os.Remove(cache); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(cache+".away", cache); err != nil {
		f.t.Fatal(err)
	}
	f.says("builder resume builder1", "takes work again")
	f.says("builder drain builder2", "is drained")
	job := f.until(f.submit(tinySRPM(f.t, "mended", ":")), plague.JobNeedSign)
	if job.Archjobs[0].BuilderAddr != "builder1" {
		f.t.Errorf("the mended builder's job was built by %s", job.Archjobs[0].BuilderAddr)
	}
}

// sickJobs is how many jobs at least it takes.
const sickJobs = 3

// takes says whether builders take work.
func (f *processFarm) takes(names ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, name := range names {
			if b, err := f.builder(ctx, name); err != nil || !b.Alive || b.Suspended != "" {
				return fmt.Errorf("%+v, %w", b, err)
			}
		}
		return nil
	}
}

// shows says what is missing in a command's output.
func (f *processFarm) shows(command string, words ...string) error {
	out, errs, code := f.run(strings.Fields(command)...)
	if code != 0 {
		return fmt.Errorf("%s: exit %d\n%s%s", command, code, out, errs)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			return fmt.Errorf("%s: no %q in\n%s%s", command, w, out, errs)
		}
	}
	return nil
}

func (f *processFarm) says(command string, words ...string) {
	f.t.Helper()
	if err := f.shows(command, words...); err != nil {
		f.t.Error(err)
	}
}

func (f *processFarm) refuses(command, why string) {
	f.t.Helper()
	if out, errs, code := f.run(strings.Fields(command)...); code == 0 || !strings.Contains(errs, why) {
		f.t.Errorf("%s: exit %d, want %q\n%s%s", command, code, why, out, errs)
	}
}
