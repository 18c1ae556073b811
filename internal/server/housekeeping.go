package server

import (
	"context"
	"time"

	"plague"
	"plague/internal/artifact"
)

const (
	houseTick  = 10 * time.Minute
	uploadLife = 24 * time.Hour // of an upload that no job refers to, or that stopped half-way
)

// housekeeping deletes what nobody needs any more. Every step is safe to run
// on several servers at once and to be cut off anywhere.
func (s *Server) housekeeping(ctx context.Context) error {
	for wait(ctx, nil, houseTick) {
		if err := s.dropUploads(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "old uploads not deleted", "error", err)
		}
		if err := s.Artifacts.Sweep(uploadLife); err != nil {
			s.Log.WarnContext(ctx, "unfinished transfers not deleted", "error", err)
		}
		if err := s.retain(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "old repository metadata not deleted", "error", err)
		}
	}
	return ctx.Err()
}

func (s *Server) dropUploads(ctx context.Context, now time.Time) error {
	digests, err := s.DB.DropUploads(ctx, now.Add(-uploadLife))
	if err != nil {
		return err
	}
	for _, name := range digests {
		d, err := artifact.ParseDigest(name)
		if err != nil {
			return err
		}
		used, err := s.DB.Referenced(ctx, name)
		if err != nil {
			return err
		}
		if used {
			continue
		}
		if err := s.Artifacts.Remove(d); err != nil {
			return err
		}
	}
	return nil
}

// keptSnapshots is how many of the newest snapshots of a target stay beside
// those that runs are pinned to.
const keptSnapshots = 50

func (s *Server) retain(ctx context.Context, now time.Time) error {
	for _, t := range s.Targets {
		pinned, err := s.DB.PinnedSnapshots(ctx, t.String())
		if err != nil {
			return err
		}
		current, err := s.DB.Current(ctx, t.String(), plague.LineBuild)
		if err != nil {
			return err
		}
		inUse := map[int64]bool{}
		for _, n := range pinned {
			inUse[n] = true
		}
		keep := func(n int64) bool { return n > current-keptSnapshots || inUse[n] }
		if err := s.Tree.Retain(ctx, t.String(), keep, now); err != nil {
			return err
		}
	}
	return nil
}
