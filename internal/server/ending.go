package server

import (
	"context"
	"errors"
)

// errEnding ends what waits for news, which may come after the server has ended. Calls
// that do something are finished.
var errEnding = errors.New("the server ends")

// whileUp is the context of what waits for news: over with ctx, or when the server ends.
func (s *Server) whileUp(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.up, func() { cancel(errEnding) })
	return ctx, func() { stop(); cancel(nil) }
}
