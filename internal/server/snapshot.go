package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/repo"
	"plague/internal/rpm"
	"plague/internal/store"
)

// errUnbuilt says that a snapshot could not be made of its jobs: with others it
// may be.
var errUnbuilt = errors.New("the snapshot cannot be built")

// snapshot publishes jobs in the next snapshot. What is true changes in one
// line, commit: the tree on disk is made before it and pointed at it after.
func (s *Server) snapshot(ctx context.Context, term store.Term, t *plague.Target, ps []store.Publication) error {
	n, err := s.next(ctx, term, t, func(members []plague.RepoRPM) []plague.RepoRPM {
		for _, p := range ps {
			members = append(members, p.RPMs...)
		}
		return members
	}, func(next plague.Snapshot) error { return s.DB.Publish(ctx, term, next.At, next, ps) })
	if n > 0 {
		s.Log.InfoContext(ctx, "published", "target", t.String(), "snapshot", n, "jobs", len(ps))
	}
	return err
}

// snapshotWithout makes the next snapshot one without retired jobs.
func (s *Server) snapshotWithout(ctx context.Context, term store.Term, t *plague.Target, uids []plague.JobID) error {
	n, err := s.next(ctx, term, t, func(members []plague.RepoRPM) []plague.RepoRPM {
		return slices.DeleteFunc(members, func(m plague.RepoRPM) bool { return slices.Contains(uids, m.Job) })
	}, func(next plague.Snapshot) error { return s.DB.PublishWithout(ctx, term, next.At, next, uids) })
	if n > 0 {
		s.Log.InfoContext(ctx, "retired", "target", t.String(), "snapshot", n, "jobs", len(uids))
	}
	return err
}

// next builds a target's next snapshot, with the current one's members changed,
// commits it, and shows it. n is its number from the commit on; 0 before.
func (s *Server) next(ctx context.Context, term store.Term, t *plague.Target,
	change func([]plague.RepoRPM) []plague.RepoRPM, commit func(plague.Snapshot) error) (n int64, err error) {
	target := t.String()
	current, err := s.DB.Current(ctx, target, plague.LineBuild)
	if err != nil {
		return 0, err
	}
	members, err := s.DB.Members(ctx, target, plague.LineBuild, current)
	if err != nil {
		return 0, err
	}
	next := plague.Snapshot{Target: target, Line: plague.LineBuild, Number: current + 1, Parent: current}
	on, err := s.onDisk(next, t.BaseArches, change(members))
	if err != nil {
		return 0, err
	}
	tree := s.fenced(term)
	if err := tree.Build(ctx, on); err != nil {
		return 0, blamed(ctx, err)
	}
	next.At = time.Now()
	if err := commit(next); err != nil {
		return 0, err
	}
	return next.Number, s.point(ctx, tree, t, next.Number)
}

// point shows a snapshot at the target's address.
func (s *Server) point(ctx context.Context, tree *repo.Tree, t *plague.Target, n int64) error {
	if err := tree.Point(ctx, t.String(), t.BaseArches, n); err != nil {
		return err
	}
	signal(s.catalogue.shows(t.String()))
	return nil
}

// blamed marks the errors of a build that may be the fault of what is in it;
// the others would meet any job.
func blamed(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrNotLeader) || errors.Is(err, plague.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnbuilt, err)
}

// allowed says where each RPM lands, and fails the jobs that bring one whose
// name the repository has. Of two jobs that bring the same the second is left
// for the next snapshot, which shows whether the first was published.
func (s *Server) allowed(ctx context.Context, term store.Term, t *plague.Target, ps []store.Publication) ([]store.Publication, error) {
	var fine []store.Publication
	taken := map[string]bool{}
	for _, p := range ps {
		reason, later := "", false
		for i := range p.RPMs {
			r := &p.RPMs[i]
			r.Arches = landsIn(r.Arch, t.BaseArches)
			pkg, uid, err := s.DB.Owner(ctx, t.String(), plague.LineBuild, *r)
			if err != nil {
				return nil, err
			}
			if pkg != "" {
				reason = fmt.Sprintf("%s is already in the repository, or was until it was retired: it belongs to %s (job %d)", r.File.Name, pkg, uid)
			}
			later = later || taken[r.File.Name]
		}
		if reason != "" {
			err := s.DB.FailJob(ctx, term, time.Now(), p.Job.UID, p.Job.Run, plague.JobAddToRepo, reason)
			if err != nil && !overtaken(err) {
				return nil, err
			}
			continue
		}
		if later {
			continue
		}
		for _, r := range p.RPMs {
			taken[r.File.Name] = true
		}
		fine = append(fine, p)
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
		for _, arch := range landsIn(m.Arch, arches) { // the target may have had others when it was published
			on.Packages[arch] = append(on.Packages[arch], repo.Package{
				Job: int64(m.Job), Arch: m.Arch, File: m.File.Name, Digest: d, Path: s.Artifacts.Path(d),
			})
		}
	}
	return on, nil
}

// snapshotURL is where builders read a snapshot.
func snapshotURL(base, target, arch string, n int64) string {
	return fmt.Sprintf("%s/repos/%s/%s/@%d/", base, target, arch, n)
}
