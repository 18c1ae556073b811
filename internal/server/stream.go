package server

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"plague"
	"plague/internal/store"
)

// getEvents serves the stream of events to users: to each of them all of it, as
// everybody sees everybody's jobs.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r.Context()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	var checks sync.WaitGroup
	checks.Go(func() {
		defer cancel()
		s.whileUser(ctx)
	})
	defer checks.Wait()
	defer cancel()
	s.Events.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

// whileUser returns when the caller is a user no more: a reader may stay for weeks.
func (s *Server) whileUser(ctx context.Context) {
	w := s.DB.Subscribe(store.TopicFarm)
	defer w.Close()
	for {
		if _, err := s.caller(ctx); errors.Is(err, plague.ErrDenied) || !store.Wait(ctx, w.C, rereadTick) {
			return
		}
	}
}
