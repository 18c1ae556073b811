package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/wire"
)

// setUpError is a refused request in the words of 2005.
func setUpError(pkg, target string, err error) string {
	return fmt.Sprintf("Error setting up build for %s on %s: %v", pkg, target, err)
}

// submitOrTell is submit for whoever calls it by that name.
func (s *Server) submitOrTell(ctx context.Context, in wire.Submission) (wire.Submitted, error) {
	out, err := s.submit(ctx, in)
	if err != nil {
		s.tellRefused(ctx, setUpError(in.Package, in.Target, err), err)
	}
	return out, err
}

// maxRefusal bounds what an event keeps of a refusal, in bytes: the names in it are a
// caller's.
const maxRefusal = 2000

// tellRefused writes down that a request for a build was refused; notify makes the mail
// of it that the user got in 2005, too. Strangers can write nothing into the farm.
func (s *Server) tellRefused(ctx context.Context, text string, err error) {
	var refusal *plague.Refusal
	if !errors.As(err, &refusal) || errors.Is(err, plague.ErrUnavailable) {
		return
	}
	u, err := s.caller(ctx)
	if errors.Is(err, plague.ErrDenied) {
		return
	}
	if text = buildlog.Readable(text); len(text) > maxRefusal {
		text = strings.ToValidUTF8(text[:maxRefusal], "")
	}
	if err == nil {
		err = s.DB.AddEvent(ctx, plague.Event{At: time.Now(), What: "refused", Who: u.Email, Text: text})
	}
	if err != nil { // the caller has his answer all the same
		s.Log.WarnContext(ctx, "refusal not noted", "user", u.Email, "refused", text, "error", err)
	}
}
