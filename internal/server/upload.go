package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/rpm"
)

// send lets a user send an SRPM, if his quota allows it: put keeps it, or as much of it
// as comes. What left nothing here does not count against the quota.
func (s *Server) send(ctx context.Context, u plague.User, d artifact.Digest, size int64, put func() error) error {
	if err := s.DB.BeginUpload(ctx, time.Now(), u.Email, d.String(), size, s.Options.Quota); err != nil {
		return err
	}
	err := put()
	if err == nil {
		return nil
	}
	if offset, lost := s.Artifacts.Offset(d); lost == nil && offset == 0 {
		// without the caller, who may have gone
		lost = s.DB.ForgetUpload(context.WithoutCancel(ctx), u.Email, d.String())
		err = errors.Join(err, lost)
	}
	return err
}

// receive makes an SRPM that has come the user's, whichever way it came. What
// is none is thrown away before anything names it.
func (s *Server) receive(ctx context.Context, u plague.User, d artifact.Digest, size int64) error {
	err := s.checkSRPM(d)
	if errors.Is(err, plague.ErrInvalid) {
		return errors.Join(err, s.discard(ctx, d))
	}
	if err != nil {
		return err
	}
	return s.DB.AddUpload(ctx, time.Now(), u.Email, d.String(), size)
}

// checkSRPM says whether an artifact is a whole source package: ErrInvalid if
// not. That the disk cannot be read is ErrUnavailable.
func (s *Server) checkSRPM(d artifact.Digest) error {
	f, _, err := s.Artifacts.Open(d)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := rpm.Verify(f)
	switch {
	case err == nil && h.IsSource():
		return nil
	case err == nil:
		err = errors.New("it is not a source package but " + h.NEVRA().String())
	case !errors.Is(err, rpm.ErrNotRPM):
		return unreadable(d, err)
	}
	return plague.Refuse(plague.ErrInvalid, "the upload is not an SRPM: "+err.Error(), "")
}

// unreadable is for an artifact of which the disk gives an error, which says
// nothing about its content.
func unreadable(d artifact.Digest, err error) error {
	return fmt.Errorf("%w: read artifact %s: %w", plague.ErrUnavailable, d, err)
}

// discard deletes an artifact at once, unless something names the same bytes.
func (s *Server) discard(ctx context.Context, d artifact.Digest) error {
	return s.Tree.Alone(ctx, func() error {
		unused, err := s.DB.Discard(ctx, time.Now(), d.String())
		if err != nil || !unused {
			return err
		}
		if err := s.Artifacts.Remove(d); err != nil {
			return err
		}
		return s.DB.Deleted(ctx, []string{d.String()})
	})
}
