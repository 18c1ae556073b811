package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/auth"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// legacyMethods are the calls of 2005. They answer (code, message, …), code -1
// for a refusal, and faults only for what is no refusal of ours.
func (s *Server) legacyMethods() []xmlrpc.Method {
	enqueue := "Asks for a build: email, package, source, target[, buildreq]; answers (code, message, uid). " +
		"The source is the absolute path of an SRPM that the server can read, or a tag in the target's SCM."
	strings5 := [][]string{{"array", "string", "string", "string", "string"}, {"array", "string", "string", "string", "string", "array"}}
	onJob := [][]string{{"array", "int"}, {"array", "string", "int"}}
	return []xmlrpc.Method{
		{Name: wire.CallEnqueue, Signatures: strings5, Help: enqueue, Func: s.enqueuePath},
		{Name: wire.CallEnqueueSRPM, Signatures: strings5, Help: enqueue, Func: s.enqueuePath},
		{Name: wire.CallListJobs, Signatures: [][]string{{"array", "struct"}, {"array"}}, Help: "Lists jobs; answers (code, message, jobs).", Func: s.listJobs},
		{Name: wire.CallDetailJob, Signatures: [][]string{{"array", "int"}}, Help: "Gives one job; answers (code, message, job).", Func: s.detailJob},
		{Name: wire.CallKillJob, Signatures: onJob, Help: "Kills a job: [email,] uid; answers (code, message).", Func: s.onJob(s.kill)},
		{Name: wire.CallRequeue, Signatures: onJob, Help: "Begins another run of a failed or killed job: [email,] uid; answers (code, message).", Func: s.onJob(s.requeue)},
		{Name: wire.CallFinish, Signatures: [][]string{{"array", "array"}}, Help: "Says that jobs in needsign were released elsewhere: uids; answers (code, message).", Func: s.finishAll},
		{Name: wire.CallPause, Signatures: [][]string{{"array", "boolean"}}, Help: "Pauses the farm, or lets it go on; answers (code, message).", Func: s.pause},
	}
}

// sameCaller refuses an e-mail argument that is not the certificate's.
func sameCaller(ctx context.Context, email string) error {
	if cert := wire.Caller(ctx); email != cert {
		return plague.Refuse(plague.ErrDenied, fmt.Sprintf("the call says it is %s, the certificate says %s", email, cert),
			"set the e-mail in ~/.plague-client.cfg to the certificate's")
	}
	return nil
}

func (s *Server) enqueuePath(ctx context.Context, params []any) (any, error) {
	var email, pkg, source, target string
	for i, into := range []*string{&email, &pkg, &source, &target} {
		if err := wire.Param(params, i, into); err != nil {
			return nil, err
		}
	}
	uid, msg, err := s.enqueueFile(ctx, email, pkg, source, target)
	if errors.Is(err, plague.ErrUnavailable) {
		return nil, err // no refusal: the same may be accepted the next time
	}
	if err != nil {
		text := setUpError(pkg, target, err)
		s.tellRefused(ctx, text, err)
		return wire.Legacy("", plague.Refuse(plague.ErrInvalid, text, ""), -1), nil
	}
	return wire.Legacy(msg, nil, int(uid)), nil
}

// enqueueFile submits an SRPM that lies on the server, as in 2005. Only
// regular files below the configured folder are read: the path is a user's.
func (s *Server) enqueueFile(ctx context.Context, email, pkg, source, target string) (plague.JobID, string, error) {
	if err := sameCaller(ctx, email); err != nil {
		return 0, "", err
	}
	u, err := s.may(ctx, auth.Build, "")
	if err != nil {
		return 0, "", err
	}
	if !strings.HasSuffix(source, ".src.rpm") && !strings.Contains(source, "/") {
		out, err := s.submit(ctx, wire.Submission{Package: pkg, Tag: source, Target: target})
		return out.UID, out.Message, err
	}
	if !s.Options.Takes.srpms() {
		return 0, "", plague.Refuse(plague.ErrInvalid, "This build server is set up for building CVS checkouts only.  ", "")
	}
	if len(source) > 255 {
		return 0, "", plague.Refuse(plague.ErrInvalid, "Pathname to SRPM is limited to 255 characters.", "")
	}
	digest, size, err := s.take(ctx, u, source)
	if err != nil {
		return 0, "", err
	}
	if err := s.receive(ctx, u, digest, size); err != nil {
		return 0, "", err
	}
	out, err := s.submit(ctx, wire.Submission{Package: pkg, Source: source, SRPM: digest.String(), Size: size, Target: target})
	return out.UID, out.Message, err
}

// take reads an SRPM from the server's own disk into the artifact store.
func (s *Server) take(ctx context.Context, u plague.User, source string) (digest artifact.Digest, size int64, err error) {
	missing := plague.Refuse(plague.ErrInvalid, "SRPM does not exist or is not accessible, remember to use absolute paths.", "")
	if !filepath.IsAbs(source) || s.Options.SRPMs == "" {
		return digest, 0, missing
	}
	rel, err := filepath.Rel(s.Options.SRPMs, filepath.Clean(source))
	if err != nil || !filepath.IsLocal(rel) {
		return digest, 0, plague.Refuse(plague.ErrDenied, fmt.Sprintf("the server takes SRPMs below %s only, not %s", s.Options.SRPMs, source), "copy it there, or let plague-client upload it")
	}
	root, err := os.OpenRoot(s.Options.SRPMs)
	if err != nil {
		return digest, 0, missing
	}
	defer root.Close()
	info, err := root.Stat(rel)
	if err != nil || !info.Mode().IsRegular() || info.Size() > s.Options.MaxSRPM {
		return digest, 0, missing
	}
	// by its name, as long as its digest is not known
	if err := s.DB.BeginUpload(ctx, time.Now(), u.Email, source, info.Size(), s.Options.Quota); err != nil {
		return digest, 0, err
	}
	defer func() {
		err = errors.Join(err, s.DB.ForgetUpload(context.WithoutCancel(ctx), u.Email, source))
	}()
	f, err := root.Open(rel)
	if err != nil {
		return digest, 0, missing
	}
	defer f.Close()
	if digest, size, err = s.Artifacts.Add(ctx, f, s.Options.MaxSRPM); err != nil {
		return digest, 0, err
	}
	// Its digest was not known before: housekeeping may just have had it.
	if err := s.DB.Spare(ctx, []string{digest.String()}); err != nil {
		return digest, 0, err
	}
	if !s.Artifacts.Has(digest) {
		return digest, 0, plague.Refuse(plague.ErrUnavailable, "an old copy of the SRPM was just deleted", "try again")
	}
	return digest, size, nil
}

func (s *Server) listJobs(ctx context.Context, params []any) (any, error) {
	var f wire.ListFilter
	if len(params) > 0 {
		if err := wire.Param(params, 0, &f); err != nil {
			return nil, err
		}
	}
	jobs, err := s.jobs(ctx, f)
	if err != nil {
		return wire.Legacy("", err, []any{}), nil
	}
	plain, err := xmlrpc.Marshal(jobs)
	return wire.Legacy("Success.", nil, plain), err
}

func (s *Server) detailJob(ctx context.Context, params []any) (any, error) {
	var uid plague.JobID
	if err := wire.Param(params, 0, &uid); err != nil {
		return nil, err
	}
	j, err := s.job(ctx, uid)
	if err != nil {
		return wire.Legacy("", plague.Refuse(plague.ErrNotFound, fmt.Sprintf("Error: Invalid job UID. %v", err), ""), map[string]any{}), nil
	}
	plain, err := xmlrpc.Marshal(j)
	return wire.Legacy("Success.", nil, plain), err
}

func (s *Server) pause(ctx context.Context, params []any) (any, error) {
	var paused bool
	if err := wire.Param(params, 0, &paused); err != nil {
		return nil, err
	}
	msg, err := s.setPaused(ctx, paused)
	return wire.Legacy(msg, err), nil
}
