package cli

import (
	"context"
	"fmt"
	"regexp"
	"syscall"
	"testing"

	"plague"
)

// usedMuch is what is shown of a build that held 60 MB and left 30.
var usedMuch = regexp.MustCompile(`hungry noarch, attempt 1, done at [^\n]*, used (\d{2,3}(\.\d)?M|1(\.\d)?G) of memory( \(its largest process\))?, (2[89]|[3-9]\d)(\.\d)?M of disk`)

// TestFarmConstraints: what a target's file asks for a package is waited for, and said,
// while others are built.
func TestFarmConstraints(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	target := f.file("server", "targets", f.Target+".cfg")
	if err := f.edit(target, "[Buildroot]", "[Constraints]\npicky = labels:ssd,big memory:64M disk:1M\nhuge = memory:900T\n\n[Buildroot]"); err != nil {
		t.Fatal(err)
	}
	config := f.file("builder", "builder1.cfg")
	if err := f.edit(config, "work_dir = ", "labels = ssd\nwork_dir = "); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.wait("the builder to say what its machine has", func(ctx context.Context) error {
		return f.shows("builder show builder1", " of memory, ", " of it free, ", " of disk free, load ", "labels:", "ssd")
	})
	if b, err := f.builder(t.Context(), "builder1"); err != nil || b.Memory < 1<<28 || b.FreeMemory <= 0 || b.FreeMemory > b.Memory || b.FreeDisk <= 0 {
		t.Errorf("list_builders: %+v, %v", b, err)
	}

	picky, huge := f.submit(tinySRPM(t, "picky", ":")), f.submit(tinySRPM(t, "huge", ":"))
	f.until(f.submit(tinySRPM(t, "easy", ":")), plague.JobNeedSign)
	f.why(picky, `waits for a builder that has what picky needs by its target's file, labels:big,ssd memory:64M disk:1M: builder1 has not the label big`)
	f.why(huge, `huge needs by its target's file, memory:900T: builder1 has not 900T of memory`)
	f.says("status", fmt.Sprintf("job %d noarch waits for a builder that has what picky needs", picky), fmt.Sprintf("job %d noarch waits", huge))

	f.builders[0].kill()
	if err := f.edit(config, "labels = ssd\n", "labels = big, ssd\n"); err != nil {
		t.Fatal(err)
	}
	f.builders[0].start()
	f.until(picky, plague.JobNeedSign)
	f.until(f.submit(tinySRPM(t, "hungry", `x=$(head -c 60000000 /dev/zero | tr '\0' x); head -c 30000000 /dev/urandom > left; sleep 1; test -n "$x"`)), plague.JobNeedSign)
	if out, _, _ := f.run("builder", "show", "builder1"); !usedMuch.MatchString(out) {
		t.Errorf("what the build used is not shown:\n%s", out)
	}
	f.why(huge, `builder1 has not 900T of memory`)
	if err := f.edit(target, "huge = memory:900T\n", ""); err != nil {
		t.Fatal(err)
	}
	if err := f.server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	f.until(huge, plague.JobNeedSign)
}
