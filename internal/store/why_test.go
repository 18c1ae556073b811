package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"plague"
)

// TestLastGood: the newest earlier success of the same package, target and arch, and
// of nothing else; and how long builds took.
func TestLastGood(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		last := func(uid plague.JobID) plague.JobID {
			a := f.archJobs(uid)[0]
			_, of, err := f.LastGood(f.ctx, f.job(uid), a)
			if err != nil && !errors.Is(err, plague.ErrNotFound) {
				t.Fatal(err)
			}
			return of.UID
		}
		first := f.submit(newJob("tree", "1"))
		f.done(first, "x86_64")
		if got := last(first); got != 0 {
			t.Errorf("before the first there is %d", got)
		}
		f.now = f.now.Add(time.Minute)
		second := f.submit(newJob("tree", "2"))
		f.done(second, "x86_64")
		f.done(f.submit(newJob("lua", "1")), "x86_64")
		f.done(f.submit(newJob("tree", "3")), "aarch64")
		elsewhere := newJob("tree", "4")
		elsewhere.Target = "lab-13-extras"
		f.done(f.submit(elsewhere), "x86_64")
		bad := f.submit(newJob("tree", "5"))
		f.build(bad, "x86_64")
		if got := last(bad); got != second {
			t.Errorf("the last good one is %d, not %d", got, second)
		}
		if got := last(second); got != first {
			t.Errorf("before the second it is %d, not %d", got, first)
		}
		took, err := f.Durations(f.ctx)
		f.must(err)
		if len(took["x86_64"]) != 4 || len(took["aarch64"]) != 1 || slices.Max(took["x86_64"]) > time.Hour {
			t.Errorf("builds took %v", took)
		}
	})
}
