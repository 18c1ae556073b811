package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
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

// A builder that did not answer is asked how it is, not to wait for news: over a line that
// breaks within every wait it would be silent for ever.
func TestAsksAfterTrouble(t *testing.T) {
	h := newHistory(t, 1)
	news := h.s.DB.Subscribe(store.OrdersOf("b1"))
	defer news.Close()
	a := &attendant{s: h.s, term: h.term, link: Link{Name: "b1"}, sequence: new(int64), heard: time.Now(), news: news,
		namedIn: map[plague.AttemptID]int64{}, gone: map[string]int64{}}
	a.tails = tails{s: h.s, running: map[plague.AttemptID]context.CancelFunc{}}
	says := plague.Report{Builder: "b1", Instance: "one", Farm: h.s.farm, Term: int64(h.term), Now: time.Now()}
	for _, tt := range []struct {
		ans  answer
		wait time.Duration
	}{{answer{report: says}, wire.MaxWait}, {answer{err: errors.New("the line broke")}, 0},
		{answer{report: says}, wire.MaxWait}} {
		if err := a.take(t.Context(), tt.ans); err != nil {
			t.Fatal(err)
		}
		o, err := a.orders(t.Context())
		h.must(err)
		if o.Wait != tt.wait {
			t.Errorf("after %+v it may wait %s, not %s", tt.ans, o.Wait, tt.wait)
		}
	}
}
