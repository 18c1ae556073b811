package server

import (
	"context"
	"fmt"
	"time"

	"plague"
	"plague/internal/auth"
	"plague/internal/wire"
)

// mayPriority says whether a user may ask for a priority: anybody lets others go
// first, and goes before others with server_admin.
func mayPriority(u plague.User, asked int) error {
	if asked < -plague.MaxPriority || asked > plague.MaxPriority {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the priority %d is not one", asked), fmt.Sprintf("priorities are from %d to %d", -plague.MaxPriority, plague.MaxPriority))
	}
	if asked > 0 {
		return auth.Check(u, auth.Hurry, "")
	}
	return nil
}

// setPriority changes who goes first, for one job that has not come to rest.
func (s *Server) setPriority(ctx context.Context, in wire.Reorder) (string, error) {
	j, err := s.DB.Job(ctx, in.Uid)
	if err != nil {
		return "", err
	}
	u, err := s.may(ctx, auth.Reorder, j.User)
	if err == nil {
		err = mayPriority(u, in.Priority)
	}
	if err != nil {
		return "", err
	}
	if err := s.DB.SetPriority(ctx, time.Now(), u.Email, j.UID, in.Priority); err != nil {
		return "", err
	}
	s.Log.InfoContext(ctx, "job has another priority", "job", j.UID, "user", u.Email, "priority", in.Priority)
	return fmt.Sprintf("Job %d (%s) has the priority %d.", j.UID, j.NVR(), in.Priority), nil
}
