package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/artifact"
)

// SRPMPath is where an SRPM lives: at the users' door to be uploaded (PUT, and
// HEAD to ask how much is there), at the builders' door to be fetched.
func SRPMPath(digest string) string { return "/srpm/" + digest }

// OffsetHeader carries the first byte of an upload, and in answers the number
// of bytes that the server already has.
const OffsetHeader = "Plague-Offset"

// AttemptPath is where a builder serves a file of an attempt to the server.
func AttemptPath(a plague.AttemptID, name string) string {
	return fmt.Sprintf("/attempt/%d/%d/%s", a.ArchJob, a.Number, url.PathEscape(name))
}

// LogPath is where the users' door serves a log; with follow=1 it stays open
// until the log ends, from offset on.
func LogPath(uid plague.JobID, arch, name string) string {
	return fmt.Sprintf("/log/%d/%s/%s", uid, url.PathEscape(arch), url.PathEscape(name))
}

// ErrPeer is a file server that does not give what it should; the transfer may
// be tried again.
var ErrPeer = errors.New("file server")

// smallFile is a size, in bytes, below which to begin again costs less than to
// keep what has come on the disk.
const smallFile = 1 << 20

// Fetch gets a file by its digest into the store, going on where an earlier
// try ended unless it is small. Nothing becomes visible unless it is what the
// digest says.
func Fetch(ctx context.Context, c *http.Client, turns Turns, from string, store *artifact.Dir, a plague.Artifact, idle time.Duration) error {
	want, err := artifact.ParseDigest(a.Digest)
	if err != nil {
		return err
	}
	if store.Has(want) {
		return nil
	}
	offset, err := store.Offset(want)
	if err != nil {
		return err
	}
	if offset > a.Size {
		offset = 0 // another peer announced more under this digest, and lied
	}
	if offset == a.Size {
		// All bytes came before a crash; only the check is missing, and a
		// server has no range to give after the last byte.
		_, err := store.PutAt(ctx, want, offset, a.Size, a.Size, strings.NewReader(""))
		return err
	}
	leave, err := turns.take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begins := idleAfter(idle, cancel)
	body, offset, err := openAt(ctx, c, from, offset)
	begins.Stop()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("fetch %s: %w", a.Name, cause)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	done, r := true, untilEnd(watched(body, idle, cancel), leave)
	if offset == 0 && a.Size < smallFile {
		err = store.Put(ctx, want, a.Size, a.Size, r)
	} else {
		done, err = store.PutAt(ctx, want, offset, a.Size, a.Size, r)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("fetch %s: %w", a.Name, cause)
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", a.Name, err)
	}
	if !done {
		return fmt.Errorf("fetch %s: %w: the answer ended early", a.Name, ErrPeer)
	}
	return nil
}

// openAt asks for the file from offset on; a server that ignores the range
// starts it again from 0.
func openAt(ctx context.Context, c *http.Client, from string, offset int64) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, 0, err
	}
	if offset > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, 0, nil
	case http.StatusPartialContent:
		return resp.Body, offset, nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	resp.Body.Close()
	return nil, 0, fmt.Errorf("%w answered %s: %s", ErrPeer, resp.Status, text)
}

// watched gives a reader that ends the transfer when nothing has come for the
// idle time: a size alone cannot tell a slow line from a dead one.
func watched(r io.Reader, idle time.Duration, cancel context.CancelCauseFunc) io.Reader {
	t := idleAfter(idle, cancel)
	return readerFunc(func(p []byte) (int, error) {
		t.Reset(idle)
		n, err := r.Read(p)
		t.Stop()
		return n, err
	})
}

func idleAfter(idle time.Duration, cancel context.CancelCauseFunc) *time.Timer {
	return time.AfterFunc(idle, func() { cancel(fmt.Errorf("%w: nothing came for %s", ErrPeer, idle)) })
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Flushed sends each piece of a followed log on its way at once.
func Flushed(w http.ResponseWriter) io.Writer {
	return flushed{w, http.NewResponseController(w)}
}

type flushed struct {
	w io.Writer
	c *http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.c.Flush()
}
