package store_test

import (
	"testing"
	"time"

	"plague"
)

// TestPastElsewhere: what went wrong on a builder is known to be done elsewhere, by a
// later attempt or in a later run, and not when the builder has done it itself.
func TestPastElsewhere(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		want := func(when string, elsewhere bool) {
			t.Helper()
			past, err := f.PastOf(f.ctx, "b1", f.now.Add(-time.Hour), 100)
			f.must(err)
			if len(past) == 0 || past[len(past)-1].Elsewhere != elsewhere {
				t.Errorf("%s: %+v, want elsewhere: %v", when, past, elsewhere)
			}
		}
		ends := func(uid plague.JobID, builder string, failure *plague.Failure) {
			t.Helper()
			f.end(f.assign(f.build(uid, "x86_64")[0].ID, builder), builder, failure)
			f.accept()
		}
		fault := plague.Failure{Kind: plague.FailurePackage, Message: "internal compiler error"}
		for _, second := range []string{"b1", "b2"} {
			f.later(2 * time.Hour)
			uid := f.submit(newJob("kernel", second))
			ends(uid, "b1", &fault)
			want("failed", false)
			f.must(f.Requeue(f.ctx, f.now, "dev@example.com", uid))
			want("requeued", false)
			ends(uid, second, nil)
			want("done by "+second, second != "b1")
		}
		f.later(2 * time.Hour)
		id := f.build(f.submit(newJob("tree", "1")), "x86_64")[0].ID
		f.back(id, plague.FailureInfrastructure, "no space", 5, false)
		want("tried again", false)
		f.end(f.assign(id, "b2"), "b2", nil)
		f.accept()
		want("done by a later attempt", true)
	})
}
