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
