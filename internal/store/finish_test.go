package store_test

import (
	"strings"
	"testing"

	"plague"
)

// TestFinish: a person may end the rest in needsign, once, and nothing else.
func TestFinish(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("ethtool", "1.8"))
		f.refused(f.Finish(f.ctx, f.now, "op@example.com", uid), plague.ErrConflict, "only jobs in needsign can be finished")
		f.refused(f.Finish(f.ctx, f.now, "op@example.com", 99), plague.ErrNotFound)
		f.done(uid, "x86_64")
		f.publish()
		f.must(f.Finish(f.ctx, f.now, "op@example.com", uid))
		if j := f.wantJob(uid, plague.JobReleased); !strings.Contains(j.Reason, "op@example.com") || j.EndedAt.IsZero() {
			t.Errorf("it is %+v", j)
		}
		f.unchanged("Finish twice", func() error { return f.Finish(f.ctx, f.now, "op@example.com", uid) })
		f.unchanged("Kill of a released job", func() error { return f.Kill(f.ctx, f.now, "op@example.com", uid) })
		f.unchanged("Requeue of a released job", func() error { return f.Requeue(f.ctx, f.now, "op@example.com", uid) })
	})
}
