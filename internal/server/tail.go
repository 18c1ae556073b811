package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"sync"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
)

// maxLog is what is kept of one log while it is tailed; the builder's own cap
// comes before it.
const maxLog = 256 << 20

// logNames are the logs of 2005.
func logNames() [3]string { return [3]string{"build.log", "root.log", "job.log"} }

// tails are the logs of one builder's running attempts, each brought into the
// result tree as it grows. One server tails; watchers read there, never from
// the builder.
type tails struct {
	s       *Server
	link    Link
	wg      sync.WaitGroup
	running map[plague.AttemptID]context.CancelFunc
}

// keep tails what runs now, and no more what does not.
func (t *tails) keep(ctx context.Context, held []store.HeldRow) {
	wanted := map[plague.AttemptID]bool{}
	for _, h := range held {
		id := attemptOf(h)
		if h.State != plague.ArchRunning {
			continue
		}
		wanted[id] = true
		if t.running[id] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		t.running[id] = cancel
		for _, name := range logNames() {
			t.wg.Go(func() { t.tail(ctx, h, name) })
		}
	}
	for id, cancel := range t.running {
		if !wanted[id] {
			cancel()
			delete(t.running, id)
		}
	}
}

// stop ends all tails and waits for them.
func (t *tails) stop() {
	for _, cancel := range t.running {
		cancel()
	}
	t.wg.Wait()
}

// tailAfter is how long an attempt has run before its logs are tailed: those of a
// shorter one come with its results, and nobody could have read along.
const tailAfter = time.Second

// tail brings one log into the result tree until it ends or ctx does. The end
// of the attempt replaces the file by the checked artifact in any case.
func (t *tails) tail(ctx context.Context, h store.HeldRow, name string) {
	store.Wait(ctx, nil, time.Until(h.StateAt.Add(tailAfter)))
	for ctx.Err() == nil {
		err := t.copy(ctx, h, name)
		if err == nil || errors.Is(err, plague.ErrConflict) || ctx.Err() != nil {
			return // it has ended, here or in a tail before
		}
		t.s.Log.DebugContext(ctx, "log not tailed, will try again", "job", h.Job, "arch_job", h.ID, "log", name, "error", err)
		store.Wait(ctx, nil, time.Second)
	}
}

func (t *tails) copy(ctx context.Context, h store.HeldRow, name string) error {
	dir := attemptDir(h.JobRow, h.Arch, h.Run, h.Attempt)
	shown := path.Join(ResultDir(h.JobRow), h.Arch)
	for _, d := range []string{dir, shown} {
		if err := t.s.Results.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	w, err := t.s.logs.Writer(t.s.Results, path.Join(dir, name), maxLog)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := showLog(t.s.Results, h.JobRow, h.Arch, name); err != nil {
		return err
	}
	from := fmt.Sprintf("%s%s?follow=1&offset=%d", t.link.URL, wire.AttemptPath(attemptOf(h), name), w.Size())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	resp, err := t.link.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("builder answered %s", resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	if err == nil {
		err = ctx.Err() // who hangs up may be told a whole answer while it does
	}
	if err != nil {
		return err
	}
	return w.End()
}

// follow copies the log of an arch job's newest attempt as it grows, until the
// attempt has ended.
func (s *Server) follow(ctx context.Context, c *counting, j plague.Job, arch, name string, offset int64) error {
	a, err := s.attempted(ctx, j, arch)
	if err != nil {
		return err
	}
	file := path.Join(attemptDir(j, arch, a.Run, a.Attempt), name)
	over := func() bool {
		now, err := s.DB.ArchJob(ctx, a.ID)
		return err == nil && (now.State.Final() || now.Attempt != a.Attempt)
	}
	if err := s.logs.Follow(ctx, s.Results, file, offset, c, over); err != nil && !errors.Is(err, plague.ErrNotFound) {
		return err
	}
	// The artifact has taken the place of the tailed file; what the tail had
	// not brought yet is in it.
	f, err := s.Results.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	if _, err := f.Seek(offset+c.n, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(c, f)
	return err
}

// attempted finds the arch job of a job's current run that has an attempt.
func (s *Server) attempted(ctx context.Context, j plague.Job, arch string) (plague.ArchJob, error) {
	all, err := s.DB.ArchJobs(ctx, j.UID, j.Run)
	if err != nil {
		return plague.ArchJob{}, err
	}
	for _, a := range all {
		if a.Arch == arch && a.Attempt > 0 {
			return a, nil
		}
	}
	return plague.ArchJob{}, plague.Refuse(plague.ErrNotFound, fmt.Sprintf("job %d has no log for %s yet", j.UID, arch), "it begins with the build")
}

// counting counts what it passes on.
type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
