package server

import (
	"context"
	"errors"

	"plague"
	"plague/internal/repo"
	"plague/internal/store"
)

// fenced is the tree for a leader: nothing in it changes once the term is over.
func (s *Server) fenced(term store.Term) *repo.Tree {
	return s.Tree.WithFence(func(ctx context.Context) error { return s.DB.Leads(ctx, term) })
}

// catchUp settles a target whose stable address is behind the database: the
// disk may have failed between a commit and its pointer.
func (s *Server) catchUp(ctx context.Context, term store.Term, t *plague.Target) error {
	behind, err := s.behind(ctx, t)
	if err != nil || !behind {
		return err
	}
	return s.settleTarget(ctx, term, t)
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

// settleTarget brings a target's repositories up to what the database says: the
// leader before may have died between the two.
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
	err = s.point(ctx, tree, t, n)
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
	return s.point(ctx, tree, t, n)
}
