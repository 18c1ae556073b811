package server

import (
	"context"
	"errors"

	"plague"
	"plague/internal/sched"
	"plague/internal/store"
)

// planner is the leader's picture of the queue, rebuilt from the store when it
// begins and advanced by events. Only the planning loop touches it.
type planner struct {
	queue  sched.Queue
	newest plague.ArchJobID             // highest id that has been in the queue
	busy   map[plague.ArchJobID]holding // assigned or running
	ended  map[plague.ArchJobID]string  // the builder that has their results, which are not here yet
	seen   plague.EventID
	back   []plague.ArchJobID // came back into the queue, and are not read again yet
}

type holding struct {
	builder string
	share   sched.Share
}

// advance brings the picture up to date: by events, or from the store when there is
// none yet or too much has changed.
func (s *Server) advance(ctx context.Context, p **planner) error {
	for *p != nil {
		events, err := s.DB.Events(ctx, (*p).seen, 1000)
		if err != nil {
			return err
		}
		if (*p).apply(events) {
			break
		}
		if len(events) == 1000 {
			continue
		}
		if len((*p).back) > manyBack {
			break
		}
		return errors.Join(s.readmit(ctx, *p), s.enqueue(ctx, *p))
	}
	fresh, err := s.picture(ctx)
	if err == nil {
		*p = fresh
	}
	return err
}

// manyBack is how many that came back are read one by one: a builder's, not those of
// all builders.
const manyBack = 100

// apply takes in events. It says whether the picture has to be made anew. What came
// back into the queue is not known well enough from its event.
func (p *planner) apply(events []plague.Event) (rebuild bool) {
	for _, e := range events {
		p.seen = e.ID
		if e.What == "priority" { // of any of a job's arch jobs
			return true
		}
		if e.ArchJob == 0 || e.What != "arch_job" {
			continue
		}
		switch to := plague.ArchState(e.To); to {
		case plague.ArchQueued:
			// Ids are given before commits: one below the newest may
			// become visible after it.
			if e.From != "" || !p.knows(e.ArchJob) {
				p.drop(e.ArchJob)
				if e.ArchJob <= p.newest { // others are read with all that is new
					p.back = append(p.back, e.ArchJob)
				}
			}
		case plague.ArchAssigned, plague.ArchRunning:
			p.queue.Remove(e.ArchJob)
		case plague.ArchDownloading:
			p.queue.Remove(e.ArchJob)
			if h, there := p.busy[e.ArchJob]; there {
				p.ended[e.ArchJob] = h.builder
			}
			delete(p.busy, e.ArchJob)
		default:
			p.drop(e.ArchJob)
		}
	}
	return false
}

func (p *planner) knows(id plague.ArchJobID) bool {
	_, busy := p.busy[id]
	return busy || p.queue.Has(id)
}

func (p *planner) drop(id plague.ArchJobID) {
	p.queue.Remove(id)
	delete(p.busy, id)
	delete(p.ended, id)
}

// enqueue reads the arch jobs that are newer than the newest known.
func (s *Server) enqueue(ctx context.Context, p *planner) error {
	for {
		rows, err := s.DB.Queued(ctx, p.newest, 1000)
		if err == nil {
			err = s.add(ctx, p, rows)
		}
		if err != nil || len(rows) < 1000 {
			return err
		}
	}
}

// readmit reads the arch jobs that came back and wait still.
func (s *Server) readmit(ctx context.Context, p *planner) error {
	for _, id := range p.back {
		rows, err := s.DB.Queued(ctx, id-1, 1)
		if err == nil && len(rows) > 0 && rows[0].ID == id {
			err = s.add(ctx, p, rows)
		}
		if err != nil {
			return err
		}
	}
	p.back = nil
	return nil
}

// add puts rows of the queue into the picture.
func (s *Server) add(ctx context.Context, p *planner, rows []store.QueueRow) error {
	if len(rows) == 0 {
		return nil
	}
	tried, err := s.DB.Troubled(ctx, rows[0].ID-1, rows[len(rows)-1].ID)
	if err != nil {
		return err
	}
	for _, r := range rows {
		p.newest = max(p.newest, r.ID)
		it := s.item(r)
		it.Tried = tried[r.ID]
		p.queue.Add(it)
	}
	return nil
}

// item is an arch job as the planner sees it.
func (s *Server) item(r store.QueueRow) sched.Item {
	it := sched.Item{ID: r.ID, User: r.User, Package: r.Package, Arch: r.Arch, Target: r.Target, Priority: r.Priority, Since: r.Since, Avoid: r.LastBuilder}
	it.Queued, it.Learned = r.QueuedAt, r.Learned
	t := s.target(r.Target)
	if t != nil && plague.Anywhere(r.Arch) {
		it.Roots = rootsOf(r.ArchJob, t) // rootArch chooses among them
	}
	if t != nil && r.Kind == plague.KindBuild {
		it.Needs = t.Constraints[r.Package].Larger(r.Outgrew, r.Above)
	}
	return it
}

// picture reads everything from the store.
func (s *Server) picture(ctx context.Context) (*planner, error) {
	last, err := s.DB.LastEvent(ctx) // before the rows: what happens in between is seen twice, not missed
	if err != nil {
		return nil, err
	}
	p := &planner{seen: last, busy: map[plague.ArchJobID]holding{}, ended: map[plague.ArchJobID]string{}}
	held, err := s.DB.Held(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		if h.State == plague.ArchDownloading {
			p.ended[h.ID] = h.Builder
		} else {
			p.busy[h.ID] = holding{h.Builder, sched.ShareOf(h.JobRow.User, h.JobRow.Priority)}
		}
	}
	return p, s.enqueue(ctx, p)
}
