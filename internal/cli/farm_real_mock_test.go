package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
)

// These name the real mock, and a configuration of it for packages of the demo's
// distribution; an account plague-mock in the group mock is there, too.
const (
	realMockVariable   = "PLAGUE_TEST_MOCK"
	realConfigVariable = "PLAGUE_TEST_MOCK_CONFIG"
)

// TestFarmOfRealMock: what the stand-in is believed to do, mock does.
func TestFarmOfRealMock(t *testing.T) {
	program, config := os.Getenv(realMockVariable), os.Getenv(realConfigVariable)
	if program == "" || config == "" {
		t.Skip("needs mock: set " + realMockVariable + " and " + realConfigVariable)
	}
	f := newProcessFarm(t, shape{builders: 1, slots: 2})
	if err := os.Mkdir(f.file("mock"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"lab-12-x86_64-extras.cfg": mustRead(t, config), "logging.ini": mustRead(t, filepath.Join(filepath.Dir(config), "logging.ini"))} {
		if err := os.WriteFile(f.file("mock", name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.useMock(program)
	f.start()
	timed := func(what string, do func()) {
		begun := time.Now()
		do()
		t.Logf("%s: %.1f s", what, time.Since(begun).Seconds())
	}
	timed("a first package, from submission to the repository", func() { f.until(f.submit(sourcePackage(t, "tree")), plague.JobNeedSign) })
	timed("a package of a library", func() { f.until(f.submit(sourcePackage(t, "oniguruma")), plague.JobNeedSign) })
	timed("one that needs it, from the farm's own repository", func() { f.until(f.submit(sourcePackage(t, "jq")), plague.JobNeedSign) })
	timed("a noarch package", func() { f.until(f.submit(sourcePackage(t, "tzdata")), plague.JobNeedSign) })
	states := f.result(t, f.Target+"/3-jq-1.6-1", "state.log")
	t.Logf("of the third: its root came from mock's cache: %v\n%s", strings.Contains(states, "unpacking root cache") && !strings.Contains(states, "creating root cache"), states)
	for name, want := range map[string]string{"bad-build": "%build failed", "bad-check": "%check failed", "bad-unmet": "nothing provides nonesuch-devel >= 99"} {
		timed(name, func() {
			if job := f.until(f.submit(sourcePackage(t, name)), plague.JobFailed); !strings.Contains(job.Reason, want) || job.Archjobs[0].Attempt != 1 {
				t.Errorf("%s: %q after %d attempts, want %q", name, job.Reason, job.Archjobs[0].Attempt, want)
			}
		})
	}
	uid := f.submit(sourcePackage(t, "bad-hang"))
	f.building(uid)
	timed("kill of a build that hangs, until nothing is left", func() {
		if out, errs, code := f.run("kill", fmt.Sprint(uid)); code != 0 {
			t.Fatalf("kill: exit %d\n%s%s", code, out, errs)
		}
		f.until(uid, plague.JobKilled)
		f.mockLeftNothing()
	})
	uid = f.submit(sourcePackage(t, "bad-hang"))
	f.building(uid)
	timed("kill -9 of the supervisor, until the package builds again", func() {
		killSupervisors(t, f.Dir)
		f.wait("the second attempt to build", func(ctx context.Context) error {
			job, err := f.client.Job(ctx, uid)
			if err == nil && (job.Archjobs[0].Attempt != 2 || job.Archjobs[0].BuilderStatus != string(plague.PhaseBuilding)) {
				err = fmt.Errorf("%+v", job.Archjobs)
			}
			return err
		})
	})
	if out, errs, code := f.run("kill", fmt.Sprint(uid)); code != 0 {
		t.Fatalf("kill: exit %d\n%s%s", code, out, errs)
	}
	f.until(uid, plague.JobKilled)
	f.mockLeftNothing()
	t.Logf("published: %s", f.published())
}
