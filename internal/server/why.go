package server

import (
	"context"

	"plague"
	"plague/internal/why"
)

// asker answers why jobs are as they are, for calls and mails alike.
func (s *Server) asker() *why.Asker {
	return &why.Asker{DB: s.DB, Results: s.Results, Item: s.item, Builders: s.roster.names,
		LogDir: func(j plague.Job, a plague.ArchJob) string { return attemptDir(j, a.Arch, a.Run, a.Attempt) }}
}

// whyJob says why a job is as it is.
func (s *Server) whyJob(ctx context.Context, uid plague.JobID) (plague.Why, error) {
	if _, err := s.caller(ctx); err != nil {
		return plague.Why{}, err
	}
	return s.Why.Why(ctx, uid)
}
