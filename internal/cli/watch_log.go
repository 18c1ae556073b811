package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"plague"
	"plague/internal/wire"
)

// logFollower copies the build.log of one arch of a job as it grows: that of
// its newest attempt, to the end of the last one.
type logFollower struct {
	c      *client
	out    *lineWriter
	uid    plague.JobID
	arch   string
	prefix string

	attempt int
	offset  int64 // bytes of the attempt's log that have come
	partial []byte
}

const buildLog = "build.log"

// follow returns when the arch job has ended and its log has come whole. A
// stream that ends before that, by itself or broken, is taken up where it was.
func (f *logFollower) follow(ctx context.Context) error {
	defer f.flush()
	tries := patience{first: 200 * time.Millisecond, most: 5 * time.Second, limit: serverAway}
	for {
		ended, err := f.where(ctx)
		if err == nil {
			tries.spent = 0 // the server is there: a log may be silent for hours
			before := f.offset
			err = f.stream(ctx)
			if f.offset > before {
				tries.reset()
			}
			if ended && (err == nil || errors.Is(err, plague.ErrNotFound)) {
				return nil
			}
		}
		if err != nil && !passing(err) && !errors.Is(err, plague.ErrNotFound) {
			return err
		}
		if !tries.wait(ctx) {
			return err
		}
	}
}

// where looks which attempt is the newest, and whether the arch job has ended.
// Another attempt's log begins at 0.
func (f *logFollower) where(ctx context.Context) (ended bool, err error) {
	j, err := f.c.Job(ctx, f.uid)
	if err != nil {
		return false, err
	}
	for _, a := range j.Archjobs {
		if a.Arch != f.arch {
			continue
		}
		if a.Attempt != f.attempt {
			f.flush()
			if f.attempt != 0 {
				f.out.line(f.prefix, fmt.Appendf(nil, "-- attempt %d --", a.Attempt))
			}
			f.attempt, f.offset = a.Attempt, 0
		}
		return j.Final || plague.ArchState(a.Status).Final(), nil
	}
	return true, nil // another run has begun, without this arch
}

// stream copies what comes until the server ends the answer.
func (f *logFollower) stream(ctx context.Context) error {
	url := fmt.Sprintf("%s%s?follow=1&offset=%d", f.c.cfg.address, wire.LogPath(f.uid, f.arch, buildLog), f.offset)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := f.c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return err
}

// Write takes a piece of the log as it comes, and hands on whole lines.
func (f *logFollower) Write(p []byte) (int, error) {
	f.offset += int64(len(p))
	f.partial = append(f.partial, p...)
	for {
		line, rest, found := bytes.Cut(f.partial, []byte("\n"))
		if !found && len(f.partial) < maxLogLine {
			return len(p), nil
		}
		if err := f.out.line(f.prefix, line); err != nil {
			return 0, err
		}
		f.partial = rest
	}
}

// flush hands on a last line that nothing ended.
func (f *logFollower) flush() {
	if len(f.partial) > 0 {
		f.out.line(f.prefix, f.partial)
		f.partial = nil
	}
}

// maxLogLine is what is kept of a line that does not end.
const maxLogLine = 64 << 10

// lineWriter writes whole lines, so that logs of several arches and what is
// said beside them do not run into each other.
type lineWriter struct {
	terminal bool // immutable

	mu sync.Mutex // held while one line is written
	w  io.Writer
}

func newLineWriter(w io.Writer) *lineWriter {
	return &lineWriter{w: w, terminal: newScreen(w).terminal()}
}

// line writes one line of a log. On a terminal it cannot do anything but show.
func (l *lineWriter) line(prefix string, text []byte) error {
	if l.terminal {
		text = []byte(printable(string(bytes.TrimSuffix(text, []byte("\r")))))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := fmt.Fprintf(l.w, "%s%s\n", prefix, text)
	return err
}

// say writes elsewhere, between two lines.
func (l *lineWriter) say(w io.Writer, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprint(w, text)
}
