package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plague"
	"plague/internal/store"

	"golang.org/x/sync/errgroup"
)

// errLeadLost ends everything a leader does; the server goes on as a follower.
var errLeadLost = errors.New("the lead was lost")

// leadership leads whenever it can, for as long as it can.
func (s *Server) leadership(ctx context.Context) error {
	for ctx.Err() == nil {
		asked := time.Now()
		term, err := s.DB.Acquire(ctx, s.Name, s.Options.LeaderLife)
		if err != nil {
			if !errors.Is(err, store.ErrNotLeader) {
				s.again(ctx, "asking for the lead", err)
			}
			store.Wait(ctx, nil, s.Options.LeaderLife/5)
			continue
		}
		s.Log.InfoContext(ctx, "leading", "term", term)
		err = s.lead(ctx, term, asked)
		if ctx.Err() == nil {
			s.Log.WarnContext(ctx, "no longer leading", "term", term, "error", err)
		}
		s.resign(ctx, term)
		store.Wait(ctx, nil, time.Second) // whatever ended it may end the next as soon
	}
	return nil
}

// resign lets another server take over at once. That it may fail is why terms
// and their life exist.
func (s *Server) resign(ctx context.Context, term store.Term) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.DB.Resign(ctx, term, s.Name); err != nil && !errors.Is(err, store.ErrNotLeader) {
		s.Log.WarnContext(ctx, "cannot resign the lead", "error", err)
	}
}

// lead runs the leader's loops under one term until one of them finds that the
// term is over.
func (s *Server) lead(ctx context.Context, term store.Term, asked time.Time) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.renewal(ctx, term, asked) })
	g.Go(func() error { return s.stages(ctx, term) })
	g.Go(func() error { return s.planning(ctx, term) })
	g.Go(func() error { return s.publishing(ctx, term) })
	g.Go(func() error { return s.attendance(ctx, term) })
	g.Go(func() error { return s.housekeeping(ctx, term) })
	g.Go(func() error { return s.scripting(ctx, term) })
	return g.Wait()
}

// disown takes back what builders hold that are not in the configuration any
// more: nobody attends to them. Once after each change of the roster is enough, for
// nothing is given to them again.
func (s *Server) disown(ctx context.Context, term store.Term) error {
	for {
		err := s.disownAll(ctx, term)
		if err == nil {
			return nil
		}
		if err := s.over(ctx, "taking back what builders hold that are gone", err); err != nil {
			return err
		}
		if !store.Wait(ctx, nil, s.Options.Tick) {
			return ctx.Err()
		}
	}
}

func (s *Server) disownAll(ctx context.Context, term store.Term) error {
	held, err := s.DB.Held(ctx, "")
	if err != nil {
		return err
	}
	for _, h := range held {
		if _, ours := s.roster.find(h.Builder); ours {
			continue
		}
		why := "builder " + h.Builder + " is not in the configuration any more"
		_, err := s.DB.Back(ctx, term, time.Now(), attemptOf(h), h.Builder, plague.FailureLost, why, s.Options.LostBudget)
		if err != nil && !overtaken(err) {
			return err
		}
	}
	return nil
}

// renewal keeps the lead, whose life began when it was asked for. A leader that
// cannot renew stops itself at two thirds of it, before another can begin.
func (s *Server) renewal(ctx context.Context, term store.Term, asked time.Time) error {
	life := s.Options.LeaderLife
	renewed := asked
	for store.Wait(ctx, nil, life/5) {
		began := time.Now()
		end := renewed.Add(life * 2 / 3)
		if !s.DB.Postgres() {
			end = began.Add(life) // nobody else can begin, however long it takes
		}
		call, cancel := context.WithTimeout(ctx, min(life/5, time.Until(end)))
		err := s.DB.Renew(call, term, s.Name, life)
		cancel()
		switch {
		case err == nil:
			renewed = began
		case errors.Is(err, store.ErrNotLeader):
			return fmt.Errorf("%w: %w", errLeadLost, err)
		case !time.Now().Before(end):
			return fmt.Errorf("%w: not renewed for %s: %w", errLeadLost, time.Since(renewed), err)
		}
	}
	return ctx.Err()
}

// overtaken says that somebody else was there first, so that there is nothing
// to do. That another server leads is more than that: it ends the term.
func overtaken(err error) bool {
	return errors.Is(err, plague.ErrConflict) && !errors.Is(err, store.ErrNotLeader)
}

// over says whether an error of a leader's loop ends its term. Others are
// logged and tried again with the next tick: a database that is away for a minute
// ends nothing.
func (s *Server) over(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, store.ErrNotLeader):
		return fmt.Errorf("%w: %w", errLeadLost, err)
	case overtaken(err):
		return nil
	}
	s.again(ctx, what, err)
	return nil
}
