package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"plague"
	"plague/internal/sched"
	"plague/internal/store"
)

// capacity is what a builder's last report says of its room.
type capacity struct {
	sched.Capacity
	takes bool // it is alive and not suspended
	// stray counts what runs there and is not the server's any more: stopped
	// attempts that have not ended yet.
	stray int
	most  int // slots that are used at a time: all, or fewer while it is tried
}

// planner is the leader's picture of the queue, rebuilt from the store when it
// begins and advanced by events. Only the planning loop touches it.
type planner struct {
	queue  sched.Queue
	newest plague.ArchJobID             // highest id that has been in the queue
	busy   map[plague.ArchJobID]holding // assigned or running
	ended  map[plague.ArchJobID]string  // the builder that has their results, which are not here yet
	seen   plague.EventID
}

type holding struct {
	builder string
	share   sched.Share
}

// planning pairs queued arch jobs with slots whenever either changes.
func (s *Server) planning(ctx context.Context, term store.Term) error {
	w := s.DB.Subscribe(store.TopicQueue, store.TopicOrders)
	defer w.Close()
	var p *planner
	for {
		_, reloaded := s.catalogue.now()
		err := s.advance(ctx, &p)
		if err == nil {
			err = s.assign(ctx, term, p)
		}
		if err != nil {
			p = nil // what it knew may be half true: rebuild
		}
		if err := s.over(ctx, "planning", err); err != nil {
			return err
		}
		tick := time.NewTimer(s.Options.Tick)
		select {
		case <-ctx.Done():
		case <-w.C:
		case <-s.replan:
		case <-reloaded:
			p = nil // what waits may need something else by its target now
		case <-tick.C:
		}
		tick.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// advance brings the picture up to date: by events, or from the store when
// there is none yet or an arch job came back into the queue.
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
		return s.enqueue(ctx, *p)
	}
	fresh, err := s.picture(ctx)
	if err == nil {
		*p = fresh
	}
	return err
}

// apply takes in events. It says whether the picture has to be made anew: what
// came back into the queue is not known well enough from an event.
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
			if e.From != "" || e.ArchJob <= p.newest && !p.knows(e.ArchJob) {
				return true
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
			p.queue.Remove(e.ArchJob)
			delete(p.busy, e.ArchJob)
			delete(p.ended, e.ArchJob)
		}
	}
	return false
}

func (p *planner) knows(id plague.ArchJobID) bool {
	_, busy := p.busy[id]
	return busy || p.queue.Has(id)
}

// enqueue reads the arch jobs that are newer than the newest known.
func (s *Server) enqueue(ctx context.Context, p *planner) error {
	for {
		rows, err := s.DB.Queued(ctx, p.newest, 1000)
		if err != nil {
			return err
		}
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
		if len(rows) < 1000 {
			return nil
		}
	}
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

// assign makes a plan and commits it.
func (s *Server) assign(ctx context.Context, term store.Term, p *planner) error {
	room, running := s.room(p)
	now := time.Now()
	plan := sched.Plan(&p.queue, room, running, now)
	s.plans.took(time.Since(now))
	if len(plan) == 0 {
		return nil
	}
	as := make([]store.Assignment, len(plan))
	for i, a := range plan {
		as[i] = store.Assignment{ArchJob: a.ArchJob, Builder: a.Builder, Token: rand.Text()}
	}
	done, err := s.DB.Assign(ctx, term, now, as)
	if err != nil {
		return err
	}
	to := map[plague.ArchJobID]holding{}
	for _, a := range plan {
		it, _ := p.queue.Find(a.ArchJob)
		to[a.ArchJob] = holding{a.Builder, it.Share()}
		p.queue.Remove(a.ArchJob) // taken, or no longer queued: then its event says more
	}
	for _, a := range done {
		p.busy[a.ArchJob] = to[a.ArchJob]
		s.poke(to[a.ArchJob].builder)
	}
	return nil
}

// room is what builders have left beside what the store says they hold.
func (s *Server) room(p *planner) ([]sched.Capacity, map[sched.Share]int) {
	used, results, running := map[string]int{}, map[string]int{}, map[sched.Share]int{}
	for _, h := range p.busy {
		used[h.builder]++
		running[h.share]++
	}
	for _, builder := range p.ended {
		results[builder]++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var room []sched.Capacity
	for _, c := range s.capacity {
		if c.takes {
			c.Free = sched.Free(min(c.Slots, c.most), c.stray+used[c.Name], results[c.Name])
			room = append(room, c.Capacity)
		}
	}
	return room, running
}

// setCapacity takes in what a report says of a builder's room, and wakes the
// planner when that changed.
func (s *Server) setCapacity(c capacity) {
	s.mu.Lock()
	same := fmt.Sprint(s.capacity[c.Name]) == fmt.Sprint(c)
	s.capacity[c.Name] = c
	s.mu.Unlock()
	if !same {
		signal(s.replan)
	}
}

// forgetCapacity takes a builder out of the plan that is in the roster no more.
func (s *Server) forgetCapacity(builder string) {
	s.mu.Lock()
	delete(s.capacity, builder)
	s.mu.Unlock()
	signal(s.replan)
}

// poke wakes the loop that attends to a builder.
func (s *Server) poke(builder string) {
	if c := s.roster.pokeOf(builder); c != nil {
		signal(c)
	}
}

// signal wakes whoever waits on c, once however often it is called.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake already
	}
}
