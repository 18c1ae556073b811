package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/auth"
	"plague/internal/rpm"
	"plague/internal/store"
	"plague/internal/wire"
)

// caller gives the user who makes a call.
func (s *Server) caller(ctx context.Context) (plague.User, error) {
	email := wire.Caller(ctx)
	u, err := s.DB.User(ctx, email)
	if errors.Is(err, plague.ErrNotFound) {
		return u, plague.Refuse(plague.ErrDenied, fmt.Sprintf("%s is not a user of this build system", email),
			"an administrator adds one with `plague-user-manager <userdb> add "+email+" own_jobs`")
	}
	return u, err
}

// resolve finds a target by its name or an alias, and offers the nearest one
// when there is none.
func (s *Server) resolve(name string) (*plague.Target, error) {
	var names []string
	offered := s.Offered()
	for i := range offered {
		t := &offered[i]
		if t.Answers(name) {
			return t, nil
		}
		names = append(append(names, t.String()), t.UserAliases...)
	}
	hint := "the targets are " + strings.Join(names, ", ")
	if near := plague.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("This build server does not support the target %s.", name), hint)
}

// submit accepts a job when everything about it is right: user, capability,
// target, package name, and the SRPM itself. Without the SRPM it says so.
func (s *Server) submit(ctx context.Context, in wire.Submission) (wire.Submitted, error) {
	u, err := s.may(ctx, auth.Build, "")
	if err != nil {
		return wire.Submitted{}, err
	}
	t, err := s.resolve(in.Target)
	if err != nil {
		return wire.Submitted{}, err
	}
	if err := rpm.ValidName(in.Package); err != nil {
		return wire.Submitted{}, plague.Refuse(plague.ErrInvalid, "The package name contained an illegal character: "+err.Error(), "")
	}
	if err := mayPriority(u, in.Priority); err != nil {
		return wire.Submitted{}, err
	}
	if in.Tag != "" {
		return s.submitTag(ctx, u, t, in)
	}
	if !s.Options.Takes.srpms() {
		return wire.Submitted{}, plague.Refuse(plague.ErrInvalid, "This build server is set up for building CVS checkouts only.  ", "name a tag in place of the SRPM")
	}
	if len(in.Source) > 255 {
		return wire.Submitted{}, plague.Refuse(plague.ErrInvalid, "Pathname to SRPM is limited to 255 characters.", "")
	}
	digest, err := artifact.ParseDigest(in.SRPM)
	if err != nil {
		return wire.Submitted{}, plague.Refuse(plague.ErrInvalid, "the SRPM's digest: "+err.Error(), "")
	}
	held, err := s.DB.Referenced(ctx, in.SRPM)
	if err != nil {
		return wire.Submitted{}, err
	}
	if !held || !s.Artifacts.Has(digest) {
		// An upload whose end the server did not live to note counts only
		// when it has come again, of which the last byte is enough.
		return s.wantUpload(in, digest)
	}
	h, size, err := s.header(in.SRPM)
	if errors.Is(err, plague.ErrUnavailable) {
		return wire.Submitted{}, err
	}
	if err != nil {
		return wire.Submitted{}, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: %v", in.Source, err), "")
	}
	if err := isSRPMOf(h, in.Package, in.Source); err != nil {
		return wire.Submitted{}, err
	}
	n := h.NEVRA()
	uid, err := s.DB.Submit(ctx, time.Now(), store.NewJob{
		User: u.Email, Package: in.Package, Source: in.Source, SRPM: in.SRPM, SRPMSize: size, Target: t.String(),
		Scratch: in.Scratch, After: in.After, Priority: in.Priority,
		Epoch: fmt.Sprint(n.Epoch), Version: n.Version, Release: n.Release,
	})
	if err != nil {
		return wire.Submitted{}, err
	}
	s.Log.InfoContext(ctx, "job submitted", "job", uid, "package", in.Package, "target", t.String(), "user", u.Email)
	return wire.Submitted{UID: uid, Message: fmt.Sprintf("Package %s enqueued.", in.Package)}, nil
}

func (s *Server) wantUpload(in wire.Submission, digest artifact.Digest) (wire.Submitted, error) {
	if in.Size <= 0 || in.Size > s.Options.MaxSRPM {
		return wire.Submitted{}, plague.Refuse(plague.ErrInvalid,
			fmt.Sprintf("an SRPM of %d bytes is not taken: the limit is %d", in.Size, s.Options.MaxSRPM), "`rpm -qplv` shows what makes it so large")
	}
	offset, err := s.Artifacts.Offset(digest)
	if err != nil {
		return wire.Submitted{}, err
	}
	offset = min(offset, in.Size-1) // something has to be sent to have the rest looked at
	return wire.Submitted{Upload: true, Offset: offset, Message: "the SRPM has to be uploaded"}, nil
}

// isSRPMOf says whether a header is a source package's, and of the package
// that the user named.
func isSRPMOf(h *rpm.Header, pkg, source string) error {
	n := h.NEVRA()
	if !h.IsSource() {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is not a source package but %s", source, n), "build takes the .src.rpm")
	}
	if n.Name != pkg {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s holds the package %s, not %s", source, n.Name, pkg),
			"name the package as the SRPM does")
	}
	return nil
}
