package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/auth"
	"plague/internal/rpm"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// UsersDoor is what packagers reach: the calls, uploads and logs. The caller's
// e-mail must be in each request's context (wire.WithCaller).
func (s *Server) UsersDoor() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(wire.RPCPath, xmlrpc.NewHandler(s.UserMethods(), xmlrpc.Options{Fault: wire.Fault(s.Log), Log: s.Log, Timeout: 2 * time.Minute}))
	mux.Handle("PUT /srpm/{digest}", s.handler(s.putSRPM))
	mux.Handle("HEAD /srpm/{digest}", s.handler(s.headSRPM))
	mux.Handle("GET /log/{uid}/{arch}/{name}", s.handler(s.getLog))
	mux.Handle("GET "+wire.EventsPath, s.handler(s.getEvents))
	return mux
}

// BuildersDoor is what builders reach: the SRPMs that their attempts name. The
// builder's name must be in each request's context.
func (s *Server) BuildersDoor() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /srpm/{digest}", s.handler(s.getSRPM))
	return mux
}

// handler turns an error into a status and its text, once.
func (s *Server) handler(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil && r.Context().Err() == nil {
			status, text := wire.Status(s.Log, err)
			http.Error(w, text, status)
		}
	})
}

func digestOf(r *http.Request) (artifact.Digest, error) {
	return artifact.ParseDigest(r.PathValue("digest"))
}

// headSRPM tells how much of an SRPM is there, so that an upload goes on where
// it was cut off.
func (s *Server) headSRPM(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.may(r.Context(), auth.Build, ""); err != nil {
		return err
	}
	d, err := digestOf(r)
	if err != nil {
		return err
	}
	held, err := s.DB.Referenced(r.Context(), d.String())
	if err != nil {
		return err
	}
	if held && s.Artifacts.Has(d) {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	offset, err := s.Artifacts.Offset(d)
	if err != nil {
		return err
	}
	w.Header().Set(wire.OffsetHeader, strconv.FormatInt(offset, 10))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// putSRPM takes an upload, or the rest of one. The user's capability and quota
// are checked before a byte is read, the digest after the last.
func (s *Server) putSRPM(w http.ResponseWriter, r *http.Request) error {
	u, err := s.may(r.Context(), auth.Build, "")
	if err != nil {
		return err
	}
	d, err := digestOf(r)
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(r.Header.Get(wire.OffsetHeader), 10, 64)
	if r.Header.Get(wire.OffsetHeader) != "" && err != nil || offset < 0 {
		return plague.Refuse(plague.ErrInvalid, wire.OffsetHeader+" is not a number of bytes", "")
	}
	total := offset + r.ContentLength
	if r.ContentLength < 0 || total > s.Options.MaxSRPM {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("an upload needs its Content-Length, and %d bytes at most", s.Options.MaxSRPM), "`rpm -qplv` shows what makes an SRPM large")
	}
	err = s.send(r.Context(), u, d, total, func() error {
		if err := s.DB.Spare(r.Context(), []string{d.String()}); err != nil {
			return err
		}
		done, err := s.Artifacts.PutAt(r.Context(), d, offset, total, s.Options.MaxSRPM, r.Body)
		if err == nil && !done {
			err = plague.Refuse(plague.ErrInvalid, "the upload ended early", "go on from where HEAD says it stopped")
		}
		if err != nil {
			return err
		}
		return s.receive(r.Context(), u, d, total)
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// getSRPM serves an SRPM to a builder that holds an attempt which names it.
func (s *Server) getSRPM(w http.ResponseWriter, r *http.Request) error {
	d, err := digestOf(r)
	if err != nil {
		return err
	}
	builder := wire.Caller(r.Context())
	held, err := s.DB.Held(r.Context(), builder)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.JobRow.SRPM != d.String() {
			continue
		}
		f, _, err := s.Artifacts.Open(d)
		if err != nil {
			return err
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/x-rpm")
		http.ServeContent(w, r, "", time.Time{}, f)
		return nil
	}
	return plague.Refuse(plague.ErrDenied, fmt.Sprintf("builder %s holds no attempt that needs this SRPM", builder), "")
}

// getLog serves a log from an offset on; with follow=1 until it ends.
func (s *Server) getLog(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.caller(r.Context()); err != nil {
		return err
	}
	uid, err := strconv.ParseInt(r.PathValue("uid"), 10, 64)
	if err != nil {
		return plague.Refuse(plague.ErrInvalid, "Error: Invalid job UID.", "")
	}
	arch, name := r.PathValue("arch"), r.PathValue("name")
	if rpm.ValidArch(arch) != nil || !isLog(name) || name != path.Base(name) {
		return plague.Refuse(plague.ErrInvalid, "there is no such log", "the logs are build.log, root.log and job.log")
	}
	j, err := s.DB.Job(r.Context(), plague.JobID(uid))
	if err != nil {
		return err
	}
	offset, _ := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.URL.Query().Get("follow") == "" {
		return s.serveLog(w, r, path.Join(ResultDir(j), arch, name))
	}
	c := &counting{w: wire.Flushed(w)}
	ctx, cancel := s.whileUp(r.Context())
	defer cancel()
	err = s.follow(ctx, c, j, arch, name, max(offset, 0))
	if errors.Is(err, errEnding) {
		panic(http.ErrAbortHandler) // the follower goes on where it was cut off
	}
	if err != nil && c.n > 0 && r.Context().Err() == nil {
		s.Log.WarnContext(r.Context(), "log not served to its end", "job", uid, "arch", arch, "log", name, "error", err)
		panic(http.ErrAbortHandler) // an answer that just stops would look like the log's end, and an error text like its last line
	}
	return err
}

func (s *Server) serveLog(w http.ResponseWriter, r *http.Request, name string) error {
	f, err := s.Results.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return plague.Refuse(plague.ErrNotFound, "there is no such log yet", "it begins with the build")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}
