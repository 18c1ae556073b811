package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"plague"
)

// why asks why a job is as it is, until the answer fits all patterns.
func (f *processFarm) why(uid plague.JobID, patterns ...string) {
	f.t.Helper()
	f.wait(fmt.Sprintf("the answer to why %d", uid), func(context.Context) error {
		out, errs, code := f.run("why", fmt.Sprint(uid))
		if code != 0 {
			return fmt.Errorf("exit %d: %s", code, errs)
		}
		for _, p := range patterns {
			if !regexp.MustCompile(p).MatchString(out) {
				return fmt.Errorf("no %q in\n%s", p, out)
			}
		}
		return nil
	})
}

// TestFarmWhy: whoever asks why a job waits, failed or was killed is told, in mails
// too.
func TestFarmWhy(t *testing.T) {
	t.Parallel()
	f, mails := newProcessFarm(t, shape{builders: 1, slots: 1}), listenSMTP(t)
	f.configure(mails.section())
	f.start()

	mustRunClient(f, "pause")
	paused := f.submit(tinySRPM(t, "paused", ":"))
	f.why(paused, `: waiting: the farm is paused by packager@example.com`)
	mustRunClient(f, "unpause")
	f.until(paused, plague.JobNeedSign)
	f.why(paused, `: needsign: it is published in snapshot 1 of lab-12-extras`)

	long := f.submit(tinySRPM(t, "long", "sleep 600"))
	f.building(long)
	f.why(long, `: building: noarch is building on builder1, since 2`)
	mass := f.submit(tinySRPM(t, "mass", ":"), "--background")
	next := f.submit(tinySRPM(t, "next", ":"))
	after := f.submit(tinySRPM(t, "later", ":"), "--after", fmt.Sprint(next))
	f.why(next, `(?m)noarch waits for a slot: those of the builders that build noarch \(in a buildroot of \S+\) for lab-12-extras are taken$`,
		`place 1 in the queue`, fmt.Sprintf(`builder1: 0 of 1 slots free; builds job %d long-1-1 \(noarch, since `, long))
	f.why(mass, `place 2 in the queue`, `a background job lets others go first`)
	f.why(after, fmt.Sprintf(`waiting: it waits until job %d \(next-1-1\), which is building, is published`, next))
	mustRunClient(f, "kill", fmt.Sprint(long))
	f.why(long, `: killed: killed by packager@example.com at 2`)
	for _, uid := range []plague.JobID{mass, next, after} {
		f.until(uid, plague.JobNeedSign)
	}
	f.whyFailed(mails)
	f.whyForeseen()
	if out, errs, code := f.run("why", "99999"); code != 4 || !strings.Contains(errs, "there is no job 99999") {
		t.Errorf("of a job that is not there: exit %d, %s%s", code, out, errs)
	}
}

func mustRunClient(f *processFarm, args ...string) {
	f.t.Helper()
	if out, errs, code := f.run(args...); code != 0 {
		f.t.Fatalf("%q: exit %d\n%s%s", args, code, out, errs)
	}
}

// whyFailed: a package that built once builds no more, after what it needs has
// changed.
func (f *processFarm) whyFailed(mails *mailServer) {
	f.t.Helper()
	version := func(n int, text string) string {
		return strings.Replace(text, "Version: 1\n", fmt.Sprintf("Version: %d\n", n), 1)
	}
	needs := func(text string) string {
		return strings.Replace(text, "BuildArch:", "BuildRequires: dep\nBuildArch:", 1)
	}
	f.until(f.submit(specSRPM(f.t, "dep", spec("dep", ":"))), plague.JobNeedSign)
	good := f.submit(specSRPM(f.t, "user", needs(spec("user", "test -e /usr/share/dep"))))
	f.until(good, plague.JobNeedSign)
	moved := strings.ReplaceAll(version(2, spec("dep", ":")), "%{_datadir}/dep", "%{_datadir}/moved")
	f.until(f.submit(specSRPM(f.t, "dep", moved)), plague.JobNeedSign)
	bad := f.submit(specSRPM(f.t, "user", needs(version(2, spec("user", "test -e /usr/share/dep || { echo 'error: dep is not where it was'; exit 1; }")))))
	f.until(bad, plague.JobFailed)
	f.why(bad, `: failed: it failed: noarch: %build failed`, `noarch failed on builder1 while building: %build failed`, `the package is to blame`,
		`first error: error: dep is not where it was`, fmt.Sprintf(`logs: lab-12-extras/%d-user-2-1/attempts/1-noarch-1/`, bad),
		fmt.Sprintf(`since its last good build, of job %d, the buildroot has changed:`, good), `(?m)^ *dep.noarch 2-1 was 1-1$`)
	f.wait("the mail of it", func(context.Context) error {
		return mails.says("user-2-1", "First error: error: dep is not where it was", "dep.noarch 2-1 was 1-1")
	})
}

// whyForeseen: with a history it is said when a job should begin, and with a builder
// that is gone, why it does not.
func (f *processFarm) whyForeseen() {
	f.t.Helper()
	long := f.submit(tinySRPM(f.t, "hour", "sleep 600"))
	f.building(long)
	next := f.submit(tinySRPM(f.t, "soon", ":"))
	f.why(next, `should begin between 2\S+ \S+ UTC and 2\S+ \S+ UTC`)
	f.builders[0].kill()
	f.why(next, `none takes anything new`, `builder1 takes nothing new: it does not answer`)
	f.builders[0].start()
	mustRunClient(f, "kill", fmt.Sprint(long))
	f.wait("the next to end", func(ctx context.Context) error {
		j, err := f.client.Job(ctx, next)
		if err == nil && !j.Resting {
			err = errors.New(j.Status)
		}
		return err
	})
}
