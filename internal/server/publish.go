package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"plague"
	"plague/internal/store"
)

// publishing makes the snapshots of all targets. Each has a loop of its own: a
// slow repository holds up no other.
func (s *Server) publishing(ctx context.Context, term store.Term) error {
	return s.eachTarget(ctx, func(ctx context.Context, t *plague.Target) error { return s.publishingIn(ctx, term, t) })
}

// publishingIn makes the snapshots of one target, each with all jobs that have
// come since the one before.
func (s *Server) publishingIn(ctx context.Context, term store.Term, t *plague.Target) error {
	w := s.DB.Subscribe(store.TopicPublish)
	defer w.Close()
	p := &publisher{s: s, term: term, t: t}
	for settle := s.settleTarget; ; settle = s.catchUp {
		if err := s.over(ctx, "settling the repositories of "+t.String(), settle(ctx, term, t)); err != nil {
			return err
		}
		if err := s.over(ctx, "publishing "+t.String(), p.round(ctx)); err != nil {
			return err
		}
		if !store.Wait(ctx, w.C, s.Options.Tick) {
			return ctx.Err()
		}
	}
}

// publisher knows what stands in the way of one target's snapshots in this
// term. Only the target's loop touches it.
type publisher struct {
	s        *Server
	term     store.Term
	t        *plague.Target
	culprits map[plague.JobID]rest // jobs of which alone no snapshot could be built
	inARow   int                   // of them found in this round, with no snapshot in between
	last     error                 // why the newest of them is one
	resting  rest                  // of the whole target, which may be to blame itself
}

// rest is a pause that grows with each setback in a row.
type rest struct {
	until    time.Time
	setbacks int
	why      error
}

func (r rest) longer(why error) rest {
	return rest{until: time.Now().Add(pauseAfter(r.setbacks)), setbacks: r.setbacks + 1, why: why}
}

// maxInARow is how many jobs in a row are blamed one by one in a round; after
// that the disk or createrepo_c is the likelier culprit, and to try each of many
// jobs would only keep them busy.
const maxInARow = 3

// round publishes what waits. What has failed by itself before is tried after
// the others and apart from them, so that it spoils nothing again.
func (p *publisher) round(ctx context.Context) error {
	ps, err := p.s.DB.ToPublish(ctx, p.t.String())
	if err != nil {
		return err
	}
	if ps, err = p.s.expire(ctx, p.term, ps, p.why); err != nil || time.Now().Before(p.resting.until) {
		return err
	}
	if err := p.retire(ctx); err != nil || time.Now().Before(p.resting.until) {
		return err
	}
	fresh, again := p.due(time.Now(), ps)
	if err := p.group(ctx, fresh); err != nil {
		return err
	}
	if p.inARow >= maxInARow {
		p.resting = p.resting.longer(p.last)
		p.s.Log.WarnContext(ctx, "nothing can be published, will try again", "target", p.t.String(), "error", p.last)
		return nil
	}
	return p.group(ctx, again)
}

// group publishes the jobs of a group that may be.
func (p *publisher) group(ctx context.Context, ps []store.Publication) error {
	p.inARow = 0
	fine, err := p.s.allowed(ctx, p.term, p.t, ps)
	if err != nil {
		return err
	}
	return p.publish(ctx, fine)
}

// due parts the jobs that may be tried now, and forgets the culprits that have
// gone.
func (p *publisher) due(now time.Time, ps []store.Publication) (fresh, again []store.Publication) {
	left := map[plague.JobID]rest{}
	for _, job := range ps {
		r, known := p.culprits[job.Job.UID]
		switch {
		case !known:
			fresh = append(fresh, job)
			continue
		case !now.Before(r.until):
			again = append(again, job)
		}
		left[job.Job.UID] = r
	}
	p.culprits = left
	return fresh, again
}

// publish makes a snapshot of jobs. If it cannot be built, each half is tried:
// a few steps find the jobs that stand in the way, and only those wait.
func (p *publisher) publish(ctx context.Context, ps []store.Publication) error {
	if len(ps) == 0 {
		return nil
	}
	if p.inARow >= maxInARow {
		p.postpone(ps)
		return nil
	}
	err := p.s.snapshot(ctx, p.term, p.t, ps)
	if err == nil {
		p.inARow, p.resting = 0, rest{}
		return nil
	}
	if !errors.Is(err, errUnbuilt) {
		return err
	}
	if half := len(ps) / 2; half > 0 {
		if err := p.publish(ctx, ps[:half]); err != nil {
			return err
		}
		return p.publish(ctx, ps[half:])
	}
	p.inARow, p.last = p.inARow+1, err
	r := p.culprits[ps[0].Job.UID].longer(err)
	p.culprits[ps[0].Job.UID] = r
	p.s.Log.WarnContext(ctx, "job not published, will try again", "job", ps[0].Job.UID, "target", p.t.String(), "tries", r.setbacks, "error", err)
	return nil
}

// postpone lets those of the jobs wait longer that had their turn before. The
// others have not, and wait with the target.
func (p *publisher) postpone(ps []store.Publication) {
	for _, job := range ps {
		if r, known := p.culprits[job.Job.UID]; known {
			p.culprits[job.Job.UID] = r.longer(r.why)
		}
	}
}

// why says what stands in a job's way; nil: nothing that is known here.
func (p *publisher) why(uid plague.JobID) error {
	return cmp.Or(p.culprits[uid].why, p.resting.why)
}

// expire fails the jobs whose publication has been tried for too long, and
// gives the others.
func (s *Server) expire(ctx context.Context, term store.Term, ps []store.Publication, why func(plague.JobID) error) ([]store.Publication, error) {
	var left []store.Publication
	for _, p := range ps {
		j := p.Job
		if time.Since(j.StateAt) < s.Options.Publish {
			left = append(left, p)
			continue
		}
		reason := fmt.Sprintf("could not be published for %s: %v", s.Options.Publish, cmp.Or(why(j.UID), errLog))
		err := s.DB.FailJob(ctx, term, time.Now(), j.UID, j.Run, plague.JobAddToRepo, reason)
		if err != nil && !overtaken(err) {
			return nil, err
		}
	}
	return left, nil
}

var (
	errLog  = errors.New("the server's log says why")
	errGone = errors.New("this server no longer has the target")
)

// abandoned fails the jobs that wait for too long to be published in targets
// that are not in the configuration any more: those have no loop.
func (s *Server) abandoned(ctx context.Context, term store.Term) error {
	targets, err := s.DB.PublishTargets(ctx)
	if err != nil {
		return err
	}
	for _, target := range targets {
		if s.target(target) != nil {
			continue
		}
		ps, err := s.DB.ToPublish(ctx, target)
		if err != nil {
			return err
		}
		if _, err := s.expire(ctx, term, ps, func(plague.JobID) error { return errGone }); err != nil {
			return err
		}
	}
	return nil
}
