package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plague"
	"plague/internal/store"
)

// Scripter runs a target's repository script for snapshot n. said is the end of what
// it printed; plague.ErrConflict says that an earlier run goes on.
type Scripter func(ctx context.Context, t *plague.Target, n int64) (said string, err error)

// scripting runs the repository scripts. Each has a loop of its own and holds up no
// publication.
func (s *Server) scripting(ctx context.Context, term store.Term) error {
	return s.eachTarget(ctx, func(ctx context.Context, t *plague.Target) error {
		if t.RepoScript == "" {
			return nil
		}
		return s.scriptingIn(ctx, term, t)
	})
}

func (s *Server) scriptingIn(ctx context.Context, term store.Term, t *plague.Target) error {
	var resting rest
	for {
		if !time.Now().Before(resting.until) {
			if err := s.over(ctx, "running the repository script of "+t.String(), s.runScript(ctx, term, t, &resting)); err != nil {
				return err
			}
		}
		if !store.Wait(ctx, s.catalogue.shows(t.String()), s.Options.Tick) {
			return ctx.Err()
		}
	}
}

// patienceWithRun is how often an earlier run that goes on is asked for again before
// it is called a failure.
const patienceWithRun = 6

// runScript runs a target's script if there is a snapshot that it has not run for:
// once for all that came meanwhile. A server that dies in it runs it again: a script
// must bear that. What fails is tried again, ever less often, until it is done.
func (s *Server) runScript(ctx context.Context, term store.Term, t *plague.Target, resting *rest) error {
	n, err := s.DB.Current(ctx, t.String(), plague.LineBuild)
	if err != nil || n == 0 {
		return err
	}
	ran, err := s.DB.Script(ctx, t.String())
	if err != nil || ran.Snapshot >= n {
		return err
	}
	behind, err := s.behind(ctx, t) // a script copies what the address shows
	if err != nil || behind {
		return err
	}
	if err := s.DB.Leads(ctx, term); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "executing repository script", "target", t.String(), "snapshot", n)
	said, err := s.Script(ctx, t, n)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		*resting, ran.Snapshot, ran.Failing = rest{}, n, false
		return s.DB.RanScript(ctx, term, time.Now(), ran, said)
	}
	*resting = resting.longer(err)
	s.Log.WarnContext(ctx, "repository script failed, will try again", "target", t.String(), "snapshot", n, "tries", resting.setbacks, "error", err)
	if errors.Is(err, plague.ErrConflict) && resting.setbacks < patienceWithRun {
		return nil
	}
	ran.Failing = true
	return s.DB.RanScript(ctx, term, time.Now(), ran, fmt.Sprintf("%v\n%s", err, said))
}
