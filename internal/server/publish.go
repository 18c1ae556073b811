package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/repo"
	"plague/internal/rpm"
	"plague/internal/store"

	"golang.org/x/sync/errgroup"
)

// publishing makes the next snapshot of every target that has jobs in
// addtorepo. Targets go side by side; within one, a snapshot carries all jobs
// that have come since the one before.
func (s *Server) publishing(ctx context.Context, term store.Term) error {
	w := s.DB.Subscribe(store.TopicPublish)
	defer w.Close()
	for {
		targets, err := s.DB.PublishTargets(ctx)
		if err := s.over(ctx, "looking for what to publish", err); err != nil {
			return err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(s.Options.PublishWorkers)
		for _, t := range targets {
			g.Go(func() error { return s.over(gctx, "publishing "+t, s.publish(gctx, term, t)) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if err := s.catchUp(ctx, term); err != nil {
			return err
		}
		if !wait(ctx, w.C, s.Options.Tick) {
			return ctx.Err()
		}
	}
}

// publish makes one snapshot. What is true changes in one line, the store's
// Publish: the tree on disk is made before it and pointed at it after.
func (s *Server) publish(ctx context.Context, term store.Term, target string) error {
	t := s.target(target)
	if t == nil {
		return fmt.Errorf("%w: target %s is not in the configuration any more", plague.ErrNotFound, target)
	}
	ps, err := s.DB.ToPublish(ctx, target)
	if err != nil {
		return err
	}
	ps, err = s.allowed(ctx, term, t, ps)
	if err != nil || len(ps) == 0 {
		return err
	}
	current, err := s.DB.Current(ctx, target, plague.LineBuild)
	if err != nil {
		return err
	}
	members, err := s.DB.Members(ctx, target, plague.LineBuild, current)
	if err != nil {
		return err
	}
	for _, p := range ps {
		members = append(members, p.RPMs...)
	}
	next := plague.Snapshot{Target: target, Line: plague.LineBuild, Number: current + 1, Parent: current}
	on, err := s.onDisk(next, t.BaseArches, members)
	if err != nil {
		return err
	}
	tree := s.fenced(term)
	if err := tree.Build(ctx, on); err != nil {
		return err
	}
	next.At = time.Now()
	if err := s.DB.Publish(ctx, term, next.At, next, ps); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "published", "target", target, "snapshot", next.Number, "jobs", len(ps))
	return tree.Point(ctx, target, t.BaseArches, next.Number)
}

// allowed says where each RPM lands, and fails the jobs that would take a
// NEVRA from another source package, or bring one that is there already.
func (s *Server) allowed(ctx context.Context, term store.Term, t *plague.Target, ps []store.Publication) ([]store.Publication, error) {
	var fine []store.Publication
	taken := map[string]plague.JobID{}
	for _, p := range ps {
		reason := ""
		for i := range p.RPMs {
			r := &p.RPMs[i]
			r.Arches = landsIn(r.Arch, t.BaseArches)
			pkg, uid, err := s.DB.Owner(ctx, t.String(), plague.LineBuild, *r)
			if err != nil {
				return nil, err
			}
			if other := taken[r.File.Name]; other != 0 {
				pkg, uid = "another package", other
			}
			if pkg != "" {
				reason = fmt.Sprintf("%s is already in the repository: it belongs to %s (job %d)", r.File.Name, pkg, uid)
				break
			}
		}
		if reason == "" {
			for _, r := range p.RPMs {
				taken[r.File.Name] = p.Job.UID
			}
			fine = append(fine, p)
			continue
		}
		err := s.DB.FailJob(ctx, term, time.Now(), p.Job.UID, p.Job.Run, plague.JobAddToRepo, reason)
		if err != nil && !overtaken(err) {
			return nil, err
		}
	}
	return fine, nil
}

// landsIn lists the repositories of a target that an RPM belongs to: noarch
// in all of them, a sub-arch such as i686 in that of its family.
func landsIn(arch string, base []string) []string {
	if arch == rpm.Noarch {
		return base
	}
	var in []string
	for _, b := range base {
		if b == arch || rpm.Family(b) == rpm.Family(arch) {
			in = append(in, b)
		}
	}
	return in
}

func (s *Server) onDisk(n plague.Snapshot, arches []string, members []plague.RepoRPM) (repo.Snapshot, error) {
	on := repo.Snapshot{Target: n.Target, Number: n.Number, Parent: n.Parent, Arches: arches, Packages: map[string][]repo.Package{}}
	for _, m := range members {
		d, err := artifact.ParseDigest(m.File.Digest)
		if err != nil {
			return on, fmt.Errorf("%s: %w", m.File.Name, err)
		}
		for _, arch := range m.Arches {
			on.Packages[arch] = append(on.Packages[arch], repo.Package{
				Job: int64(m.Job), Arch: m.Arch, File: m.File.Name, Digest: d, Path: s.Artifacts.Path(d),
			})
		}
	}
	return on, nil
}

// fenced is the tree for a leader: nothing in it changes once the term is over.
func (s *Server) fenced(term store.Term) *repo.Tree {
	return s.Tree.WithFence(func(ctx context.Context) error { return s.DB.Leads(ctx, term) })
}

// settle brings every target's repositories up to what the database says: the
// leader before may have died between the two. A target in trouble holds up
// nobody else's.
func (s *Server) settle(ctx context.Context, term store.Term) error {
	for i := range s.Targets {
		t := &s.Targets[i]
		if err := s.over(ctx, "settling the repositories of "+t.String(), s.settleTarget(ctx, term, t)); err != nil {
			return err
		}
	}
	return nil
}

// catchUp settles the targets whose stable address is behind the database: the
// disk may have failed between a commit and its pointer.
func (s *Server) catchUp(ctx context.Context, term store.Term) error {
	for i := range s.Targets {
		t := &s.Targets[i]
		behind, err := s.behind(ctx, t)
		if err == nil && behind {
			err = s.settleTarget(ctx, term, t)
		}
		if err := s.over(ctx, "settling the repositories of "+t.String(), err); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) behind(ctx context.Context, t *plague.Target) (bool, error) {
	n, err := s.DB.Current(ctx, t.String(), plague.LineBuild)
	if err != nil || n == 0 {
		return false, err
	}
	for _, arch := range t.BaseArches {
		if shown, err := s.Tree.Current(t.String(), arch); err != nil || shown < n {
			return err == nil, err
		}
	}
	return false, nil
}

func (s *Server) settleTarget(ctx context.Context, term store.Term, t *plague.Target) error {
	n, err := s.DB.Current(ctx, t.String(), plague.LineBuild)
	if err != nil {
		return err
	}
	tree := s.fenced(term)
	if err := tree.Sweep(ctx, t.String(), n); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	err = tree.Point(ctx, t.String(), t.BaseArches, n)
	if !errors.Is(err, plague.ErrNotFound) {
		return err
	}
	// The snapshot was committed and is not on this disk: it is made again
	// out of what the database knows.
	members, err := s.DB.Members(ctx, t.String(), plague.LineBuild, n)
	if err != nil {
		return err
	}
	on, err := s.onDisk(plague.Snapshot{Target: t.String(), Line: plague.LineBuild, Number: n, Parent: n - 1}, t.BaseArches, members)
	if err != nil {
		return err
	}
	if err := tree.Build(ctx, on); err != nil {
		return err
	}
	return tree.Point(ctx, t.String(), t.BaseArches, n)
}

// snapshotURL is where builders read a snapshot.
func snapshotURL(base, target, arch string, n int64) string {
	return fmt.Sprintf("%s/repos/%s/%s/@%d/", base, target, arch, n)
}
