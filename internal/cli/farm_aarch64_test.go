package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"plague"
)

// emulateVariable is set by `make test-aarch64`.
const emulateVariable = "PLAGUE_TEST_EMULATE"

// newEmulatedFarm is a farm for x86_64, i686 and aarch64, with a builder for each:
// the first, which is taken first if nothing is against it, runs programs by an emulator.
func newEmulatedFarm(t *testing.T) *processFarm {
	t.Helper()
	if os.Getenv(emulateVariable) == "" {
		t.Skip("needs an emulator that is registered with the kernel, a setting of the whole machine: run `make test-aarch64`")
	}
	if nativeArches()[0] != "x86_64" {
		t.Skip("these arches need a machine that is x86_64")
	}
	f := newProcessFarm(t, shape{builders: 3, slots: 2, arches: []string{"x86_64", "i686", "aarch64"}})
	for name, own := range map[string]string{"builder1": "emulated_arches = aarch64", "builder2": "arches = x86_64", "builder3": "arches = i686"} {
		if err := f.edit(f.file("builder", name+".cfg"), "arches = x86_64 i686 aarch64", own); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.edit(f.file("server", "targets", f.Target+".cfg"), smallBase, "@buildsys-build"); err != nil {
		t.Fatal(err)
	}
	f.start()
	return f
}

// TestFarmOfAarch64 builds for two arches of this machine and one that it emulates:
// what succeeds for all is in all repositories, and anything else in none.
func TestFarmOfAarch64(t *testing.T) {
	begun := time.Now()
	f := newEmulatedFarm(t)
	t.Logf("distribution and farm: %.1f s", time.Since(begun).Seconds())
	build := func(name, shell string) plague.JobID {
		return f.submit(specSRPM(t, name, archSpec(name, "", "", shell)))
	}
	for _, name := range []string{"all", "again"} { // the second finds layers
		begun := time.Now()
		job := f.until(build(name, ""), plague.JobNeedSign)
		t.Logf("the job %s: %.1f s", name, time.Since(begun).Seconds())
		if archesOf(job) != "x86_64 i686 aarch64" {
			t.Errorf("%s is built for %s", name, archesOf(job))
		}
		log := string(mustRead(t, f.file("results", job.Results, "aarch64", "build.log")))
		if says := "machine aarch64 target aarch64 arch aarch64"; !strings.Contains(log, says) {
			t.Errorf("the build for aarch64 does not say %q:\n%s", says, log)
		}
	}
	f.compiles()
	pages := f.until(f.submit(specSRPM(t, "pages", archSpec("pages", "BuildArch: noarch", "", ""))), plague.JobNeedSign)
	if log := f.result(t, pages.Results, "build.log"); strings.Contains(log, "machine aarch64") {
		t.Errorf("noarch is emulated while others have nothing to do:\n%s", log)
	}
	half := f.until(build("half", "test $(uname -m) != aarch64"), plague.JobFailed)
	if !strings.Contains(half.Reason, "aarch64: %build failed") {
		t.Errorf("half failed because %q", half.Reason)
	}
	for _, arch := range []string{"x86_64", "i686", "aarch64"} {
		want := strings.ReplaceAll("again-doc.noarch again.ARCH all-doc.noarch all.ARCH pages-doc.noarch pages.noarch tree.ARCH", "ARCH", arch)
		if got := strings.Join(f.publishedFor(arch), " "); got != want {
			t.Errorf("the repository for %s holds\n%s, want\n%s", arch, got, want)
		}
	}
}

// compiles builds a program in C, as real packages are.
func (f *processFarm) compiles() {
	f.t.Helper()
	begun := time.Now()
	f.until(f.submit(sourcePackage(f.t, "tree")), plague.JobNeedSign)
	f.t.Logf("the job tree: %.1f s", time.Since(begun).Seconds())
}

// TestAarch64Killed: nothing is left of an emulated build, whoever ends it, and a
// builder whose emulator has gone says so and takes on nothing until it is back.
func TestAarch64Killed(t *testing.T) {
	f := newEmulatedFarm(t)
	build := func(name, shell string) plague.JobID {
		return f.submit(specSRPM(t, name, archSpec(name, "ExclusiveArch: aarch64", "", shell)))
	}

	uid := build("wanted", gate)
	f.building(uid)
	begun := time.Now()
	if out, errs, code := f.run("kill", fmt.Sprint(uid)); code != 0 {
		t.Errorf("kill: exit %d\n%s%s", code, out, errs)
	}
	f.until(uid, plague.JobKilled)
	f.wait("the build to end", func(context.Context) error {
		if all := supervisors(f.Dir); len(all) > 0 {
			return fmt.Errorf("supervisors %v", all)
		}
		return nil
	})
	t.Logf("a running build is killed: %.1f s", time.Since(begun).Seconds())
	f.nothingLeft()
	t.Logf("and nothing is left: %.1f s", time.Since(begun).Seconds())

	uid = build("crashed", gate)
	f.building(uid)
	f.watch(uid).until("tick 3\n")
	for pid := range supervisors(f.Dir) {
		killPID(t, pid)
	}
	f.builders[0].kill()
	f.builders[0].start()
	f.wait("the second attempt", func(ctx context.Context) error {
		job, err := f.client.Job(ctx, uid)
		if err == nil && job.Archjobs[0].Attempt < 2 {
			err = fmt.Errorf("%+v", job.Archjobs)
		}
		return err
	})
	f.building(uid)
	f.openGates()
	f.until(uid, plague.JobNeedSign)
	f.nothingLeft()

	f.switchEmulator(false)
	uid = build("patient", "")
	f.wait("the build to wait for the builder", func(ctx context.Context) error {
		job, err := f.client.Job(ctx, uid)
		if err == nil && (len(job.Archjobs) != 1 || job.Archjobs[0].Status != string(plague.ArchQueued)) {
			err = fmt.Errorf("it is %s: %+v", job.Status, job.Archjobs)
		}
		return err
	})
	f.switchEmulator(true)
	f.until(uid, plague.JobNeedSign)
	if got := strings.Join(f.publishedFor("aarch64"), " "); got != "crashed-doc.noarch crashed.aarch64 patient-doc.noarch patient.aarch64" {
		t.Errorf("the repository holds %s", got)
	}
}

// switchEmulator switches the emulator of demo/with-emulator, and waits until the
// builder has seen it.
func (f *processFarm) switchEmulator(on bool) {
	f.t.Helper()
	const entry = "/proc/sys/fs/binfmt_misc/plague-aarch64"
	if err := os.WriteFile(entry, []byte(map[bool]string{true: "1", false: "0"}[on]), 0); err != nil {
		f.t.Fatal(err)
	}
	f.wait(fmt.Sprintf("a builder with its emulator on: %v", on), func(ctx context.Context) error {
		b, err := f.builder(ctx, "builder1")
		if err == nil && (b.Suspended == "") != on || !on && !strings.Contains(b.Suspended, "no emulator for them is registered") {
			err = errors.New(b.Suspended)
		}
		return err
	})
}
