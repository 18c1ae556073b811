package server

import (
	"context"

	"plague/internal/wire"
)

// withArches completes what a job's own call tells of it: why it is built for which
// arches.
func (s *Server) withArches(ctx context.Context, r wire.JobRecord) (wire.JobRecord, error) {
	ds, err := s.DB.Decisions(ctx, r.Uid)
	for _, d := range ds {
		r.ArchRules = append(r.ArchRules, wire.ArchRule{Arch: d.Arch, Built: d.Built, Rule: d.Rule})
	}
	return r, err
}
