package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/auth"
	"plague/internal/wire"
)

// requeue begins another run of a failed or killed job.
func (s *Server) requeue(ctx context.Context, uid plague.JobID) (string, error) {
	return s.act(ctx, uid, auth.Requeue, "requeued", s.DB.Requeue)
}

// finish ends a job's wait for its signature.
func (s *Server) finish(ctx context.Context, uid plague.JobID) (string, error) {
	return s.act(ctx, uid, auth.Finish, "finished", s.DB.Finish)
}

// kill stops a job.
func (s *Server) kill(ctx context.Context, uid plague.JobID) (string, error) {
	return s.act(ctx, uid, auth.Kill, "killed", s.DB.Kill)
}

// act does something to a job if the caller may, and says that it is done.
func (s *Server) act(ctx context.Context, uid plague.JobID, act auth.Act, done string, do func(context.Context, time.Time, string, plague.JobID) error) (string, error) {
	j, err := s.DB.Job(ctx, uid)
	if err != nil {
		return "", err
	}
	u, err := s.may(ctx, act, j.User)
	if err != nil {
		return "", err
	}
	if err := do(ctx, time.Now(), u.Email, uid); err != nil {
		return "", err
	}
	s.Log.InfoContext(ctx, "job "+done, "job", uid, "user", u.Email)
	return fmt.Sprintf("Job %d (%s) %s.", uid, j.NVR(), done), nil
}

// onJob is a call of 2005 that takes [email,] uid.
func (s *Server) onJob(f func(context.Context, plague.JobID) (string, error)) func(context.Context, []any) (any, error) {
	return func(ctx context.Context, params []any) (any, error) {
		if len(params) == 2 {
			var email string
			if err := wire.Param(params, 0, &email); err != nil {
				return nil, err
			}
			if err := sameCaller(ctx, email); err != nil {
				return wire.Legacy("", err), nil
			}
			params = params[1:]
		}
		var uid plague.JobID
		if err := wire.Param(params, 0, &uid); err != nil {
			return nil, err
		}
		msg, err := f(ctx, uid)
		return wire.Legacy(msg, err), nil
	}
}

// maxFinish bounds the jobs of one call.
const maxFinish = 1000

// finishAll is the call of 2005: it takes many jobs, finishes those that it may
// and says what became of each. Its code is -1 when none was finished.
func (s *Server) finishAll(ctx context.Context, params []any) (any, error) {
	var uids []plague.JobID
	if err := wire.Param(params, 0, &uids); err != nil {
		return nil, err
	}
	if len(uids) == 0 || len(uids) > maxFinish {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("finish of %d jobs", len(uids)), fmt.Sprintf("give between 1 and %d", maxFinish))
	}
	var said []string
	var refused error
	finished := 0
	for _, uid := range uids {
		msg, err := s.finish(ctx, uid)
		if err != nil {
			refused, msg = err, fmt.Sprintf("Job %d: %v.", uid, err)
		} else {
			finished++
		}
		said = append(said, msg)
	}
	if finished == 0 {
		return wire.Legacy("", refused), nil
	}
	return wire.Legacy(strings.Join(said, " "), nil), nil
}
