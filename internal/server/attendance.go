package server

import (
	"context"
	"errors"

	"plague/internal/store"

	"golang.org/x/sync/errgroup"
)

// attendance has every builder of the roster attended to, and takes back what those
// hold that are in it no more.
func (s *Server) attendance(ctx context.Context, term store.Term) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		here, sequences := map[string]visit{}, map[string]*int64{}
		for {
			links, changed := s.roster.now()
			s.leave(here, links)
			for _, l := range links {
				if _, there := here[l.Name]; there {
					continue
				}
				if sequences[l.Name] == nil {
					sequences[l.Name] = new(int64)
				}
				here[l.Name] = s.visit(ctx, g, term, l, sequences[l.Name])
			}
			if err := s.disown(ctx, term); err != nil {
				return err
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

// visit is the loop that attends to one builder.
type visit struct {
	link Link
	end  context.CancelFunc
	over chan struct{}
}

func (s *Server) visit(ctx context.Context, g *errgroup.Group, term store.Term, l Link, sequence *int64) visit {
	mine, end := context.WithCancel(ctx)
	v := visit{link: l, end: end, over: make(chan struct{})}
	g.Go(func() error {
		defer close(v.over)
		err := s.attend(mine, term, l, sequence)
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			return nil // it is in the roster no more
		}
		return err
	})
	return v
}

// leave ends the visits to builders that have gone, or moved: none has two.
func (s *Server) leave(here map[string]visit, links []Link) {
	stays := map[string]Link{}
	for _, l := range links {
		stays[l.Name] = l
	}
	for name, v := range here {
		if l, there := stays[name]; there && v.link.same(l) {
			continue
		}
		v.end()
		<-v.over
		delete(here, name)
		s.forgetCapacity(name)
	}
}
