package server

import (
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// The store is asked once for what a builder holds, and again after news, a tick or a
// verdict that failed; what a verdict changes is known without it.
func TestHolds(t *testing.T) {
	h := newHistory(t, 1)
	h.build()
	queued, err := h.s.DB.Queued(t.Context(), 0, 1)
	h.must(err)
	news := h.s.DB.Subscribe(store.TopicOrders, store.OrdersOf("b1"))
	defer news.Close()
	a := &attendant{s: h.s, term: h.term, link: Link{Name: "b1"}, news: news}
	states := func() (all []plague.ArchState) {
		rows, err := a.holds(t.Context())
		h.must(err)
		for _, r := range rows {
			all = append(all, r.State)
		}
		return all
	}
	want := func(after string, want ...plague.ArchState) {
		t.Helper()
		if got := states(); len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
			t.Errorf("after %s: %v, want %v", after, got, want)
		}
	}
	want("nothing")
	_, err = h.s.DB.Assign(t.Context(), h.term, time.Now(), []store.Assignment{{ArchJob: queued[0].ID, Builder: "b1", Token: "token"}})
	h.must(err)
	want("an assignment, of which the planner tells") // and has not
	a.held.asked = a.held.asked.Add(-h.s.Options.Tick)
	want("a tick", plague.ArchAssigned)

	id := plague.AttemptID{ArchJob: queued[0].ID, Number: 1, Token: "token"}
	h.must(a.commit(t.Context(), time.Now(), verdict{id: id, state: plague.ArchRunning, phase: plague.PhaseBuilding}))
	if !a.held.known || a.held.rows[0].Phase != plague.PhaseBuilding {
		t.Errorf("after a verdict: %+v", a.held)
	}
	want("a verdict", plague.ArchRunning)
	stale := id
	stale.Token = "another"
	if err := a.commit(t.Context(), time.Now(), verdict{id: stale, state: plague.ArchRunning, phase: plague.PhaseCleanup}); !overtaken(err) || a.held.known {
		t.Errorf("a verdict about another attempt: %v, %v", err, a.held.known)
	}
	want("a verdict that came too late", plague.ArchRunning)
	h.must(h.s.DB.Kill(t.Context(), time.Now(), "ann@farm", h.jobs[0]))
	want("a kill")
}

// What an arch job's run is pinned to is asked for once.
func TestHoldsPins(t *testing.T) {
	before := holdings{rows: []store.HeldRow{{ArchJob: plague.ArchJob{ID: 1}, JobRow: plague.Job{Pin: plague.Pin{Snapshot: 7}}}}}
	now := []store.HeldRow{{ArchJob: plague.ArchJob{ID: 1}}, {ArchJob: plague.ArchJob{ID: 2}}}
	others := before.unpinned(now)
	if len(others) != 1 || others[0] != &now[1] || now[0].JobRow.Pin.Snapshot != 7 {
		t.Errorf("%+v of %+v", others, now)
	}
}
