package server

import (
	"context"
	"fmt"
	"time"

	"plague"
	"plague/internal/wire"
)

// removeBuilder takes a builder that joined by a token out of the farm: its certificates
// are refused from now on, and what it runs goes to others as soon as the leader hears
// of it.
func (s *Server) removeBuilder(ctx context.Context, in wire.Drain) (string, error) {
	if err := checkWhy(in.Why); err != nil {
		return "", err
	}
	u, err := s.mayBuilder(ctx, in.Name)
	if err != nil {
		return "", err
	}
	if l, _ := s.roster.find(in.Name); !l.Joined {
		return "", plague.Refuse(plague.ErrConflict, fmt.Sprintf("builder %s did not join by a token: it is in the option builders", in.Name),
			"take its line out of server.cfg, then `plague update_builders`; `plague cert revoke "+in.Name+"` if its key may be somebody else's")
	}
	if err := s.DB.RemoveBuilder(ctx, time.Now(), u.Email, in.Name, in.Why); err != nil {
		return "", err
	}
	s.Log.InfoContext(ctx, "builder removed", "builder", in.Name, "user", u.Email, "reason", in.Why)
	return fmt.Sprintf("Builder %s is removed: its certificates are revoked, and what it was building is built elsewhere.", in.Name), nil
}
