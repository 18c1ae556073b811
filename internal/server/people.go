package server

import (
	"context"
	"fmt"
	"time"

	"plague"
	"plague/internal/auth"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// users lists who may use the build system, for those who say so.
func (s *Server) users(ctx context.Context, _ []any) (any, error) {
	if _, err := s.may(ctx, auth.Users, ""); err != nil {
		return nil, err
	}
	all, err := s.DB.Users(ctx)
	if err != nil {
		return nil, err
	}
	return xmlrpc.Marshal(all)
}

// changeUser says who may use the build system, and what for.
func (s *Server) changeUser(ctx context.Context, in wire.UserChange) (plague.User, error) {
	me, err := s.may(ctx, auth.Users, "")
	if err != nil {
		return plague.User{}, err
	}
	if len(in.Words) > wire.MaxWords {
		return plague.User{}, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%d capabilities", len(in.Words)), fmt.Sprintf("give at most %d", wire.MaxWords))
	}
	c := auth.Change(in)
	u, err := s.DB.ChangeUser(ctx, time.Now(), me.Email, c.Email, c.Verb != auth.DeleteUser, c.Apply)
	if err == nil {
		s.Log.InfoContext(ctx, "user changed", "verb", c.Verb, "of", c.Email, "capabilities", u.Capabilities, "user", me.Email)
	}
	return u, err
}
