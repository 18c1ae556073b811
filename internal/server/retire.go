package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"plague"
	"plague/internal/auth"
	"plague/internal/wire"
)

// retire asks for a published job's RPMs to leave their repository.
func (s *Server) retire(ctx context.Context, in wire.Retirement) (string, error) {
	if len(in.Why) > wire.MaxWhy || strings.ContainsFunc(in.Why, unicode.IsControl) {
		return "", plague.Refuse(plague.ErrInvalid, "the reason is too long or has control characters", fmt.Sprintf("say it in one line of at most %d bytes", wire.MaxWhy))
	}
	j, err := s.DB.Job(ctx, in.Uid)
	if err != nil {
		return "", err
	}
	u, err := s.may(ctx, auth.Retire, j.User)
	if err != nil {
		return "", err
	}
	if s.target(j.Target) == nil {
		return "", plague.Refuse(plague.ErrConflict, fmt.Sprintf("%s of job %d is no target of this server", j.Target, j.UID), "its repository stays as it is until the target is configured again")
	}
	if err := s.DB.Retire(ctx, time.Now(), u.Email, j.UID, in.Why); err != nil {
		return "", err
	}
	s.Log.InfoContext(ctx, "job retired", "job", j.UID, "user", u.Email)
	return fmt.Sprintf("Job %d (%s) retired: the next snapshot of %s is without it.", j.UID, j.NVR(), j.Target), nil
}

// withRetirement completes what a job's own call tells of it.
func (s *Server) withRetirement(ctx context.Context, r wire.JobRecord) (wire.JobRecord, error) {
	retired, err := s.DB.Retirement(ctx, r.Uid)
	if err != nil || retired == nil {
		return r, err
	}
	r.RetiredAt, r.RetiredBy, r.RetiredWhy, r.RetiredIn = unix(retired.At), retired.Who, retired.Why, retired.Snapshot
	return r, nil
}

// retire makes a snapshot without the RPMs of the jobs that are to leave. It
// brings nothing that could be at fault: if it fails, the target is.
func (p *publisher) retire(ctx context.Context) error {
	uids, err := p.s.DB.ToRetire(ctx, p.t.String())
	if err != nil || len(uids) == 0 {
		return err
	}
	err = p.s.snapshotWithout(ctx, p.term, p.t, uids)
	if !errors.Is(err, errUnbuilt) {
		return err
	}
	p.resting = p.resting.longer(err)
	p.s.Log.WarnContext(ctx, "jobs not retired, will try again", "target", p.t.String(), "jobs", len(uids), "error", err)
	return nil
}
