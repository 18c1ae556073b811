package store_test

import (
	"strings"
	"testing"

	"plague"
	"plague/internal/store"
)

// TestBuilderEvents: a builder's trouble begins once and ends once, whoever
// leads, and what it says of it meanwhile is no event.
func TestBuilderEvents(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		note := func(suspended string) {
			f.must(f.NoteBuilder(f.ctx, f.term, f.now, plague.Builder{Name: "b1", Suspended: suspended}))
		}
		note("")
		note("it does not answer: refused")
		note("it does not answer: time-out")
		old := f.term
		term, err := f.Acquire(f.ctx, "test", 0)
		f.must(err)
		f.term = term
		f.refused(f.NoteBuilder(f.ctx, old, f.now, plague.Builder{Name: "b1"}), store.ErrNotLeader)
		note("it does not answer: time-out")
		note("")
		note("")
		es, err := f.Events(f.ctx, 0, 100)
		f.must(err)
		var told []string
		for _, e := range es {
			if e.What == "builder" {
				told = append(told, e.Who+" "+e.From+" "+e.To+" "+e.Text)
			}
		}
		if got := strings.Join(told, "\n"); got != "b1 ready suspended it does not answer: refused\nb1 suspended ready " {
			t.Errorf("told:\n%s", got)
		}
	})
}
