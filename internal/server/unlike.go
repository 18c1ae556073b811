package server

import (
	"context"
	"errors"
	"fmt"

	"plague"
	"plague/internal/rpm"
	"plague/internal/store"
)

// unlike ends an arch job whose noarch RPM is not what another arch has made: either
// would be in every repository. The package is to blame, and is shown the difference.
func (s *Server) unlike(ctx context.Context, d *store.Download, err error) error {
	var e *store.UnlikeError
	if !errors.As(err, &e) {
		return err
	}
	mine, err := s.traits(e.Mine)
	if err != nil {
		return s.later(ctx, d, false, 0, err)
	}
	theirs, err := s.traits(e.Theirs)
	if err != nil {
		return s.later(ctx, d, false, 0, err)
	}
	why := fmt.Sprintf("%s is not the same for %s and %s: %s", e.File, e.Other, e.Arch, rpm.Differences(theirs, mine, e.Other, e.Arch))
	return s.failDownload(ctx, d, plague.FailurePackage, why)
}

func (s *Server) traits(digest string) ([]string, error) {
	h, _, err := s.header(digest)
	if err != nil {
		return nil, err
	}
	return h.Traits()
}
