package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/rpm"
	"plague/internal/store"

	"golang.org/x/sync/errgroup"
)

// batch is how many jobs a loop takes up in one transaction: enough to share
// an fsync, few enough not to hold the writer.
const batch = 200

// preparers is how many jobs are prepared at a time: their transactions share
// commits.
const preparers = 16

// stages takes jobs from waiting to building.
func (s *Server) stages(ctx context.Context, term store.Term) error {
	w := s.DB.Subscribe(store.TopicJobs, store.TopicFarm)
	defer w.Close()
	prep, checkout := stage{of: plague.JobPrep, do: s.prep}, stage{of: plague.JobInitialize, do: s.checkout}
	for {
		begun, err := s.begin(ctx, term)
		if err := s.over(ctx, "beginning jobs", err); err != nil {
			return err
		}
		more := len(begun) > 0
		for _, st := range []*stage{&checkout, &prep} {
			// Those that have just begun do not queue behind those that could not go on.
			_, err := s.takeOn(ctx, term, st, in(st.of, begun))
			went := false
			if err == nil {
				went, err = s.walk(ctx, term, st)
			}
			if err := s.over(ctx, "taking jobs on from "+string(st.of), err); err != nil {
				return err
			}
			more = more || went || st.page != 0
		}
		if err := s.over(ctx, "failing jobs that wait for failed ones", s.doom(ctx, term)); err != nil {
			return err
		}
		if err := s.over(ctx, "looking for jobs of abandoned targets", s.abandoned(ctx, term)); err != nil {
			return err
		}
		if more {
			continue
		}
		if !store.Wait(ctx, w.C, s.Options.Tick) {
			return ctx.Err()
		}
	}
}

// begin takes up waiting jobs, and gives them as they are then.
func (s *Server) begin(ctx context.Context, term store.Term) ([]plague.Job, error) {
	jobs, err := s.DB.Ready(ctx, batch)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	uids := make([]plague.JobID, len(jobs))
	for i, j := range jobs {
		uids[i] = j.UID
	}
	return s.DB.Begin(ctx, term, time.Now(), uids)
}

// in are the jobs that are in a state.
func in(state plague.JobState, jobs []plague.Job) (all []plague.Job) {
	for _, j := range jobs {
		if j.State == state {
			all = append(all, j)
		}
	}
	return all
}

// doom fails the waiting jobs whose predecessor can no longer be published.
func (s *Server) doom(ctx context.Context, term store.Term) error {
	jobs, err := s.DB.Doomed(ctx, batch)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		reason := fmt.Sprintf("job %d, which it waits for, was not published", j.After)
		err := s.DB.FailJob(ctx, term, time.Now(), j.UID, j.Run, plague.JobWaiting, reason)
		if err != nil && !overtaken(err) {
			return err
		}
	}
	return nil
}

// stage is a state that jobs leave when something has been done for each.
type stage struct {
	of   plague.JobState
	do   func(context.Context, store.Term, plague.Job) error
	page plague.JobID // uid after which the next page begins; 0: from the first
}

// walk takes a page of the jobs in a stage on, and says whether any went. Jobs that
// cannot go on, however many, hold up nobody behind them.
func (s *Server) walk(ctx context.Context, term store.Term, st *stage) (went bool, err error) {
	jobs, err := s.DB.JobsIn(ctx, st.of, st.page, batch)
	st.page = 0
	if err != nil || len(jobs) == 0 {
		return false, err
	}
	if len(jobs) == batch {
		st.page = jobs[batch-1].UID
	}
	return s.takeOn(ctx, term, st, jobs)
}

// takeOn takes jobs on that are in a stage, and says whether any went.
func (s *Server) takeOn(ctx context.Context, term store.Term, st *stage, jobs []plague.Job) (went bool, err error) {
	var gone, stay atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(preparers)
	for _, j := range jobs {
		g.Go(func() error {
			err := s.doOrWait(gctx, term, st, j)
			switch {
			case errors.Is(err, errWaits):
				if stay.Add(1) == 1 { // one speaks for all: they may be thousands
					s.Log.WarnContext(ctx, "job waits in "+string(st.of), "job", j.UID, "target", j.Target, "error", err)
				}
				return nil
			case overtaken(err):
				return nil
			case err == nil:
				gone.Add(1)
			}
			return err
		})
	}
	err = g.Wait()
	if n := stay.Load(); n > 1 {
		s.Log.WarnContext(ctx, "more jobs wait in "+string(st.of), "jobs", n-1)
	}
	return gone.Load() > 0, err
}

// errWaits says that a job stays where it is for now.
var errWaits = errors.New("it waits")

// doOrWait takes one job on. A base repository that is out of reach holds up its own
// target's jobs only, and not for ever.
func (s *Server) doOrWait(ctx context.Context, term store.Term, st *stage, j plague.Job) error {
	err := st.do(ctx, term, j)
	if !errors.Is(err, plague.ErrUnavailable) {
		return err
	}
	if time.Since(j.StateAt) < s.Options.Prep {
		return fmt.Errorf("%w: %w", errWaits, err)
	}
	reason := fmt.Sprintf("could not be prepared for %s: %v", s.Options.Prep, err)
	return s.DB.FailJob(ctx, term, time.Now(), j.UID, j.Run, st.of, reason)
}

// checkout has a job that names a tag get its SRPM from a builder, or fails it when
// its target has no SCM any more.
func (s *Server) checkout(ctx context.Context, term store.Term, j plague.Job) error {
	t := s.target(j.Target)
	if t == nil || t.SCM == nil {
		return s.DB.FailJob(ctx, term, time.Now(), j.UID, j.Run, plague.JobInitialize, "this server no longer has the target "+j.Target+" with an SCM")
	}
	pin, err := s.pin(ctx, t)
	if err != nil {
		return err
	}
	return s.DB.Checkout(ctx, term, time.Now(), j.UID, j.Run, rpm.Roots(rpm.Noarch, t.BaseArches), pin)
}

// prep takes one job to building, or fails it when its SRPM cannot be built
// for the target.
func (s *Server) prep(ctx context.Context, term store.Term, j plague.Job) error {
	fail := func(reason string) error {
		return s.DB.FailJob(ctx, term, time.Now(), j.UID, j.Run, plague.JobPrep, reason)
	}
	t := s.target(j.Target)
	if t == nil {
		return fail("this server no longer has the target " + j.Target)
	}
	h, _, err := s.header(j.SRPM)
	if errors.Is(err, plague.ErrUnavailable) {
		return err // the disk is to blame, not the SRPM
	}
	if err != nil {
		return fail("the SRPM cannot be read: " + err.Error())
	}
	ds, err := rpm.Arches(t.BaseArches, t.OptionalArches, t.Additional[j.Package], h.Arches())
	if err != nil {
		return s.DB.NoArch(ctx, term, time.Now(), j.UID, j.Run, ds, err.Error())
	}
	pin, err := s.pin(ctx, t)
	if err != nil {
		return err
	}
	return s.DB.Build(ctx, term, time.Now(), j.UID, j.Run, ds, pin)
}

// header reads the header of an SRPM in the artifact store, and tells its size
// in bytes. ErrUnavailable: the disk is to blame.
func (s *Server) header(digest string) (*rpm.Header, int64, error) {
	d, err := artifact.ParseDigest(digest)
	if err != nil {
		return nil, 0, err
	}
	f, size, err := s.Artifacts.Open(d)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	h, err := rpm.ReadHeader(f)
	if err != nil && !errors.Is(err, rpm.ErrNotRPM) {
		err = unreadable(d, err)
	}
	return h, size, err
}
