package server

import (
	"context"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/store"
)

const (
	houseTick  = 10 * time.Minute
	sweepEvery = 36             // ticks: to look at every artifact costs much and finds little
	uploadLife = 24 * time.Hour // of an upload that no job refers to, or that stopped half-way; and of any artifact that nothing names
	notice     = time.Hour      // from finding that nothing names an artifact to its end: longer than any claim of a download
)

// housekeeping deletes what nobody needs any more. Only the leader does, and
// it may be cut off anywhere.
func (s *Server) housekeeping(ctx context.Context, term store.Term) error {
	for tick := 0; ; tick++ {
		if err := s.keepHouse(ctx, term, tick); err != nil {
			return err
		}
		if !store.Wait(ctx, nil, houseTick) {
			return ctx.Err()
		}
	}
}

// keepHouse does the chores of one tick. The first ends what the leader before
// had begun to delete: until that has gone, nobody can bring it again.
func (s *Server) keepHouse(ctx context.Context, term store.Term, tick int) error {
	now := time.Now()
	if err := s.over(ctx, "deleting artifacts that nothing names", s.sweep(ctx, term, now)); err != nil || tick == 0 {
		return err
	}
	if err := s.over(ctx, "deleting old uploads", s.dropUploads(ctx, term, now)); err != nil {
		return err
	}
	if err := s.over(ctx, "deleting unfinished transfers", s.Artifacts.Sweep(uploadLife)); err != nil {
		return err
	}
	if err := s.retain(ctx, term, now); err != nil || tick%sweepEvery != 1 {
		return err
	}
	return s.over(ctx, "looking for artifacts that nothing names", s.condemn(ctx, term, now))
}

func (s *Server) dropUploads(ctx context.Context, term store.Term, now time.Time) error {
	digests, err := s.DB.DropUploads(ctx, term, now.Add(-uploadLife))
	if err != nil {
		return err
	}
	return s.DB.Condemn(ctx, term, now, digests)
}

// condemn looks for artifacts that nothing names: results that were fetched and
// not accepted, uploads whose end nobody lived to note. Young ones may be about
// to be named.
func (s *Server) condemn(ctx context.Context, term store.Term, now time.Time) error {
	var old []string
	var failed error
	flush := func() bool {
		failed = s.DB.Condemn(ctx, term, now, old)
		old = old[:0]
		return failed == nil
	}
	err := s.Artifacts.List(ctx, func(a artifact.Info) bool {
		if now.Sub(a.Time) >= uploadLife {
			old = append(old, a.Digest.String())
		}
		return len(old) < 1000 || flush()
	})
	if err == nil && failed == nil {
		flush()
	}
	if failed != nil {
		return failed
	}
	return err
}

// sweep deletes what was condemned long enough ago and is named by nothing
// still. The tree's lock, which dies with its holder, keeps the leader before
// from deleting what has been brought again since.
func (s *Server) sweep(ctx context.Context, term store.Term, now time.Time) error {
	return s.fenced(term).Alone(ctx, func() error {
		for {
			digests, err := s.DB.Deleting(ctx, term, now.Add(-notice), batch)
			if err != nil || len(digests) == 0 {
				return err
			}
			for _, digest := range digests {
				d, err := artifact.ParseDigest(digest)
				if err != nil {
					return err
				}
				if err := s.Artifacts.Remove(d); err != nil {
					return err
				}
			}
			s.Log.InfoContext(ctx, "artifacts deleted that nothing names", "artifacts", len(digests))
			if err := s.DB.Deleted(ctx, digests); err != nil {
				return err
			}
		}
	})
}

// keptSnapshots is how many of the newest snapshots of a target stay beside
// those that runs are pinned to.
const keptSnapshots = 50

// retain goes through all targets: one in trouble does not keep the others from
// being cleaned.
func (s *Server) retain(ctx context.Context, term store.Term, now time.Time) error {
	targets := s.Offered()
	for i := range targets {
		t := targets[i].String()
		if err := s.over(ctx, "deleting old repository metadata of "+t, s.retainTarget(ctx, term, t, now)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) retainTarget(ctx context.Context, term store.Term, target string, now time.Time) error {
	pinned, err := s.DB.PinnedSnapshots(ctx, target)
	if err != nil {
		return err
	}
	current, err := s.DB.Current(ctx, target, plague.LineBuild)
	if err != nil {
		return err
	}
	inUse := map[int64]bool{}
	for _, n := range pinned {
		inUse[n] = true
	}
	keep := func(n int64) bool { return n > current-keptSnapshots || inUse[n] }
	return s.fenced(term).Retain(ctx, target, keep, now)
}
