package server

import (
	"context"
	"fmt"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
)

// Takes says what jobs may name: use_srpm_not_cvs, and use_cvs of 0.4.
type Takes string

const (
	TakesBoth  Takes = "" // neither option is set
	TakesSRPMs Takes = "srpms"
	TakesTags  Takes = "tags"
)

func (t Takes) srpms() bool { return t != TakesTags }

// srpmsOnly are the words of 2005.
const srpmsOnly = "This build server is set up for building SRPMS only.  "

// submitTag accepts a job whose SRPM a builder makes of what an SCM has. Nothing is
// fetched here: whether the tag is there the builder finds out.
func (s *Server) submitTag(ctx context.Context, u plague.User, t *plague.Target, in wire.Submission) (wire.Submitted, error) {
	refuse := func(text, hint string) (wire.Submitted, error) {
		return wire.Submitted{}, plague.Refuse(plague.ErrInvalid, text, hint)
	}
	switch {
	case in.SRPM != "":
		return refuse("both an SRPM and a tag are named", "name one of them")
	case s.Options.Takes == TakesSRPMs:
		return refuse(srpmsOnly, "give the path of a .src.rpm")
	case t.SCM == nil:
		return refuse(srpmsOnly, fmt.Sprintf("the target %s has no source control system: give the path of a .src.rpm", t))
	}
	if err := s.CheckSource(*t.SCM, in.Package, in.Tag); err != nil {
		return wire.Submitted{}, err
	}
	uid, err := s.DB.Submit(ctx, time.Now(), store.NewJob{
		User: u.Email, Package: in.Package, Source: in.Tag, Target: t.String(),
		Scratch: in.Scratch, After: in.After, Priority: in.Priority,
	})
	if err != nil {
		return wire.Submitted{}, err
	}
	s.Log.InfoContext(ctx, "job submitted", "job", uid, "package", in.Package, "tag", in.Tag, "target", t.String(), "user", u.Email)
	return wire.Submitted{UID: uid, Message: fmt.Sprintf("Package %s enqueued.", in.Package)}, nil
}

// withSource completes what a job's own call tells of it.
func (s *Server) withSource(ctx context.Context, r wire.JobRecord) (wire.JobRecord, error) {
	p, err := s.DB.Source(ctx, r.Uid, r.Run)
	for run := r.Run - 1; err == nil && p == nil && run > 0; run-- { // another run builds the same SRPM
		p, err = s.DB.Source(ctx, r.Uid, run)
	}
	if err != nil || p == nil {
		return r, err
	}
	r.SourceUrl, r.SourceRevision, r.SourceTree = p.URL, p.Revision, p.Tree
	return r, nil
}
