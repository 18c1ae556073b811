package server

import (
	"context"
	"fmt"
	"time"

	"plague"
	"plague/internal/store"
)

// apply judges what the builder holds by its newest report and commits each
// verdict. What somebody else changed in the meantime stays as it is.
func (a *attendant) apply(ctx context.Context, now time.Time) error {
	held, err := a.holds(ctx)
	if err != nil {
		return err
	}
	larger, err := a.s.larger(ctx, *a.report)
	if err != nil {
		return err
	}
	for _, v := range judge(held, *a.report, a.namedIn, larger) {
		if err := a.commit(ctx, now, v); err != nil && !overtaken(err) {
			return err
		}
	}
	for _, h := range held {
		if overdue(h, now, a.s.Options.Attempt+overdueGrace) {
			v := verdict{id: attemptOf(h), state: plague.ArchQueued, back: plague.FailureInfrastructure,
				why: fmt.Sprintf("builder %s did not end it within %s", a.link.Name, a.s.Options.Attempt)}
			if err := a.commit(ctx, now, v); err != nil && !overtaken(err) {
				return err
			}
		}
	}
	a.prune(held)
	return nil
}

// overdueGrace is how much longer than the attempt's own time-out the server
// waits for the builder to act on it.
const overdueGrace = 10 * time.Minute

func (a *attendant) commit(ctx context.Context, now time.Time, v verdict) (err error) {
	db, name := a.s.DB, a.link.Name
	known := a.held.known && !v.srpm
	a.held.known = false
	if v.srpm {
		if err := db.Fetched(ctx, a.term, now, v.id, name, sane(v.pinned)); err != nil {
			return err
		}
	}
	switch v.state {
	case plague.ArchRunning:
		err = db.Running(ctx, a.term, now, v.id, name, v.phase)
	case plague.ArchDownloading:
		a.setbacks = 0
		err = db.Ended(ctx, a.term, now, v.id, name, v.end, v.files, v.used)
	default:
		return a.giveBack(ctx, now, v)
	}
	if err == nil {
		a.held.moved(v, now)
		a.held.known = known // the store need not be asked for that
	}
	return err
}

// giveBack puts an attempt's arch job back into the queue.
func (a *attendant) giveBack(ctx context.Context, now time.Time, v verdict) error {
	db, name := a.s.DB, a.link.Name
	if v.back == store.Refused || v.back == plague.FailureInfrastructure {
		a.rest(now)
		a.setback = v.why
	}
	if v.back.Size() {
		return db.Outgrown(ctx, a.term, now, v.id, name, plague.Failure{Kind: v.back, Message: v.why, Had: v.had})
	}
	_, err := db.Back(ctx, a.term, now, v.id, name, v.back, v.why, a.s.budget(v.back))
	return err
}

// sane is what a builder says it has fetched, if it can be.
func sane(p *plague.Pinned) *plague.Pinned {
	const most = 2000
	if p == nil || len(p.Kind) > most || len(p.URL) > most || len(p.Revision) > most || len(p.Tree) > most {
		return nil
	}
	return p
}

// A builder that refused an attempt, or had trouble that was not the package's,
// gets no other for a while: only time can tell why, and a mirror that is away
// for a minute must not cost a run its budget in one second. The rest grows
// with each setback in a row: no arch job goes round and round.
const (
	firstRest   = 2 * time.Second
	longestRest = 5 * time.Minute
)

func (a *attendant) rest(now time.Time) {
	if now.Before(a.resting) {
		return // it came together with what began the rest
	}
	a.resting = now.Add(pauseAfter(a.setbacks))
	a.setbacks++
}

// pauseAfter is how long to rest after a number of setbacks in a row.
func pauseAfter(setbacks int) time.Duration {
	return min(firstRest<<min(setbacks, 10), longestRest)
}

// budget is how many attempts of a run one kind of trouble may cost.
func (s *Server) budget(kind plague.FailureKind) int {
	if kind == plague.FailureLost {
		return s.Options.LostBudget
	}
	return s.Options.InfraBudget
}

// prune forgets the sequences of attempts that are over.
func (a *attendant) prune(held []store.HeldRow) {
	now := map[plague.AttemptID]int64{}
	for _, h := range held {
		id := attemptOf(h)
		if seq, ok := a.namedIn[id]; ok {
			now[id] = seq
		}
	}
	a.namedIn = now
}
