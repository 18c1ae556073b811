package server

import (
	"context"
	"time"

	"plague"
	"plague/internal/store"
)

// holdings are what the store says a builder holds, kept while nothing is heard that
// may have changed it. In between something may have: orders are corrected by the next
// then, and verdicts, which name what they change, come too late.
type holdings struct {
	rows  []store.HeldRow
	known bool
	asked time.Time // when the store was
}

// holds gives what the builder holds. However often the builder answers, news that was
// lost is found within the tick.
func (a *attendant) holds(ctx context.Context) ([]store.HeldRow, error) {
	select {
	case <-a.news.C: // before the store is asked: later news is news
		a.held.known = false
	default:
	}
	now := time.Now()
	if a.held.known && now.Sub(a.held.asked) < a.s.Options.Tick {
		return a.held.rows, nil
	}
	rows, err := a.s.DB.Held(ctx, a.link.Name)
	if err != nil {
		return nil, err
	}
	if err := a.s.DB.Pin(ctx, a.held.unpinned(rows)); err != nil {
		return nil, err
	}
	a.held = holdings{rows: rows, known: true, asked: now}
	return rows, nil
}

// unpinned pins the rows that were held before, and gives those that were not.
func (h *holdings) unpinned(rows []store.HeldRow) (others []*store.HeldRow) {
	pins := map[plague.ArchJobID]plague.Pin{}
	for _, r := range h.rows {
		pins[r.ID] = r.JobRow.Pin
	}
	for i, r := range rows {
		var was bool
		if rows[i].JobRow.Pin, was = pins[r.ID]; !was {
			others = append(others, &rows[i])
		}
	}
	return others
}

// moved takes in what a verdict that was committed has changed.
func (h *holdings) moved(v verdict, now time.Time) {
	for i := range h.rows {
		r := &h.rows[i]
		if attemptOf(*r) != v.id {
			continue
		}
		if r.State != v.state {
			r.State, r.StateAt = v.state, now
		}
		r.Phase = v.phase
	}
}
