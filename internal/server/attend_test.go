package server

import (
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// What a builder holds that is not in the configuration any more is built
// elsewhere; what others hold stays theirs.
func TestDisown(t *testing.T) {
	h := newHistory(t, 1)
	h.s.roster.set([]Link{{Name: "stays"}})
	for range 2 {
		h.build()
	}
	queued, err := h.s.DB.Queued(t.Context(), 0, 10)
	h.must(err)
	for i, builder := range []string{"gone", "stays"} {
		_, err := h.s.DB.Assign(t.Context(), h.term, time.Now(), []store.Assignment{{ArchJob: queued[i].ID, Builder: builder, Token: "token"}})
		h.must(err)
	}
	h.must(h.s.disown(t.Context(), h.term))
	for i, want := range []plague.ArchState{plague.ArchQueued, plague.ArchAssigned} {
		a, err := h.s.DB.ArchJob(t.Context(), queued[i].ID)
		h.must(err)
		if a.State != want {
			t.Errorf("arch job %d is %s (%s), not %s", a.ID, a.State, a.Reason, want)
		}
	}
}

// Rule 3: two live instances of one name suspend it, until one of them has been
// restarted and the other is silent.
func TestTwoDaemons(t *testing.T) {
	a := &attendant{link: Link{Name: "b1"}, sequence: new(int64), gone: map[string]int64{}}
	for _, tt := range []struct {
		speaks string
		double bool
	}{{"one", false}, {"two", false}, {"one", true}, {"one", true}, {"two", true}, {"three", false}, {"three", false}, {"two", true}} {
		r := plague.Report{Builder: "b1", Instance: tt.speaks}
		a.instance(r)
		a.report = &r
		if got := strings.HasPrefix(a.double, "two daemons"); got != tt.double {
			t.Errorf("after %s spoke it is suspended: %v (%s)", tt.speaks, got, a.double)
		}
	}
}

// Refusals in a row make longer and longer rests; those of one moment are one.
func TestRests(t *testing.T) {
	a := &attendant{}
	now := time.Now()
	for _, want := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
		a.rest(now)
		a.rest(now)
		if got := a.resting.Sub(now); got != want {
			t.Errorf("it rests %s, not %s", got, want)
		}
		now = a.resting
	}
	for range 100 {
		a.rest(now)
		now = a.resting
	}
	if a.rest(now); a.resting.Sub(now) != longestRest {
		t.Errorf("in the end it rests %s", a.resting.Sub(now))
	}
}
