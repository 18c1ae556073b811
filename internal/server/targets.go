package server

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"plague"

	"golang.org/x/sync/errgroup"
)

// catalogue is the targets of the configuration, which may be read again while the
// server runs. Who holds a target holds it as it was.
type catalogue struct {
	mu      sync.Mutex // guards the fields below
	all     []plague.Target
	changed chan struct{}            // closed when all is another
	shown   map[string]chan struct{} // by target: its address shows another snapshot
	trouble string                   // why the configuration was not read again; empty: it was, or nobody asked
}

func newCatalogue(all []plague.Target) *catalogue {
	return &catalogue{all: all, changed: make(chan struct{}), shown: map[string]chan struct{}{}}
}

func (c *catalogue) set(all []plague.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.trouble = all, ""
	close(c.changed)
	c.changed = make(chan struct{})
}

// now gives the targets, and what is closed when there are others.
func (c *catalogue) now() ([]plague.Target, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all, c.changed
}

// shows is what wakes who waits for another snapshot of a target.
func (c *catalogue) shows(target string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shown[target] == nil {
		c.shown[target] = make(chan struct{}, 1)
	}
	return c.shown[target]
}

func (c *catalogue) refuse(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = why
}

func (c *catalogue) refused() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// Offered are the targets of the configuration as it was read last.
func (s *Server) Offered() []plague.Target {
	all, _ := s.catalogue.now()
	return all
}

// Reload takes over targets and builders that were read again. What runs goes on: as
// after a restart, it sees the new ones from its next step on.
func (s *Server) Reload(targets []plague.Target, builders []Link) {
	s.catalogue.set(targets)
	s.roster.set(builders)
}

// NotReloaded has status say why the configuration could not be read again. What was
// read before stays.
func (s *Server) NotReloaded(err error) { s.catalogue.refuse(err.Error()) }

// target finds a target by its name.
func (s *Server) target(name string) *plague.Target { return find(s.Offered(), name) }

func find(all []plague.Target, name string) *plague.Target {
	for i := range all {
		if all[i].String() == name {
			return &all[i]
		}
	}
	return nil
}

// eachTarget has a loop for every target: it ends with the target, and another begins
// when that is not what it was.
func (s *Server) eachTarget(ctx context.Context, loop func(context.Context, *plague.Target) error) error {
	type round struct {
		t    *plague.Target
		end  context.CancelFunc
		over chan struct{}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		here := map[string]round{}
		for {
			all, changed := s.catalogue.now()
			for name, r := range here {
				if t := find(all, name); t == nil || !reflect.DeepEqual(t, r.t) {
					r.end()
					<-r.over // no target has two
					delete(here, name)
				}
			}
			for i := range all {
				t := &all[i]
				if _, there := here[t.String()]; there {
					continue
				}
				mine, end := context.WithCancel(ctx)
				r := round{t: t, end: end, over: make(chan struct{})}
				here[t.String()] = r
				g.Go(func() error {
					defer close(r.over)
					err := loop(mine, t)
					if errors.Is(err, context.Canceled) && ctx.Err() == nil {
						return nil // the target is another now
					}
					return err
				})
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
			}
		}
	})
	return g.Wait()
}
