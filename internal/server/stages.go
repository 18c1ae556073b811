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
	for {
		more, err := s.begin(ctx, term)
		if err := s.over(ctx, "beginning jobs", err); err != nil {
			return err
		}
		prepared, err := s.prepare(ctx, term)
		if err := s.over(ctx, "preparing jobs", err); err != nil {
			return err
		}
		if err := s.over(ctx, "failing jobs that wait for failed ones", s.doom(ctx, term)); err != nil {
			return err
		}
		if err := s.over(ctx, "looking for jobs of abandoned targets", s.abandoned(ctx, term)); err != nil {
			return err
		}
		if more || prepared {
			continue
		}
		if !wait(ctx, w.C, s.Options.Tick) {
			return ctx.Err()
		}
	}
}

// begin takes up waiting jobs; it says whether there may be more.
func (s *Server) begin(ctx context.Context, term store.Term) (bool, error) {
	jobs, err := s.DB.Ready(ctx, batch)
	if err != nil || len(jobs) == 0 {
		return false, err
	}
	uids := make([]plague.JobID, len(jobs))
	for i, j := range jobs {
		uids[i] = j.UID
	}
	begun, err := s.DB.Begin(ctx, term, time.Now(), uids)
	return len(begun) > 0, err
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

// prepare reads the headers of jobs in prep and makes their arch jobs.
func (s *Server) prepare(ctx context.Context, term store.Term) (bool, error) {
	jobs, err := s.DB.JobsIn(ctx, plague.JobPrep, batch)
	if err != nil {
		return false, err
	}
	var prepared atomic.Bool
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(preparers)
	for _, j := range jobs {
		g.Go(func() error {
			err := s.prep(ctx, term, j)
			if errors.Is(err, plague.ErrUnavailable) {
				// A base repository that is out of reach holds up its
				// own target's jobs only, and not for ever.
				if time.Since(j.StateAt) < s.Options.Prep {
					s.Log.WarnContext(ctx, "job waits in prep", "job", j.UID, "error", err)
					return nil
				}
				reason := fmt.Sprintf("could not be prepared for %s: %v", s.Options.Prep, err)
				err = s.DB.FailJob(ctx, term, time.Now(), j.UID, j.Run, plague.JobPrep, reason)
			}
			if overtaken(err) {
				return nil
			}
			if err == nil {
				prepared.Store(true)
			}
			return err
		})
	}
	err = g.Wait()
	return prepared.Load(), err
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
	arches, why, err := rpm.Arches(t.BaseArches, t.OptionalArches, t.Additional[j.Package], rpm.SourceArches{
		BuildArch: h.BuildArchs(), ExclusiveArch: h.ExclusiveArch(), ExcludeArch: h.ExcludeArch(),
	})
	if err != nil {
		return fail(err.Error())
	}
	pin, err := s.pin(ctx, t)
	if err != nil {
		return err
	}
	rules := make([]string, len(why))
	for i, d := range why {
		rules[i] = d.Arch + ": " + d.Rule
	}
	n := h.NEVRA()
	evr := [3]string{fmt.Sprint(n.Epoch), n.Version, n.Release}
	return s.DB.Build(ctx, term, time.Now(), j.UID, j.Run, evr, arches, pin, rules)
}

// header reads the header of an SRPM in the artifact store, and tells its size
// in bytes.
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
	return h, size, err
}
