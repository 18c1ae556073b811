package store_test

import (
	"slices"
	"testing"

	"plague/internal/store"
)

// TestScripts: a script's place is kept, and of failures in a row the first is told.
func TestScripts(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for _, s := range []store.Script{
			{Snapshot: 0, Failing: true}, {Snapshot: 0, Failing: true}, {Snapshot: 2}, {Snapshot: 3},
			{Snapshot: 3, Failing: true}, {Snapshot: 3, Failing: true}, {Snapshot: 5},
		} {
			s.Target = target
			f.must(f.RanScript(f.ctx, f.term, f.now, s, "said"))
			if got, err := f.Script(f.ctx, target); err != nil || got != s {
				t.Errorf("%+v, %v, want %+v", got, err, s)
			}
		}
		if got, err := f.Script(f.ctx, "another"); err != nil || got != (store.Script{Target: "another"}) {
			t.Errorf("one that never ran: %+v, %v", got, err)
		}
		es, err := f.Events(f.ctx, 0, 100)
		f.must(err)
		var told []string
		for _, e := range es {
			if e.What == "repo_script" && e.Text == target+": said" {
				told = append(told, e.To)
			}
		}
		if want := []string{"failed", "done", "done", "failed", "done"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}
