package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/wire"
)

// srpm is a source package on this machine.
type srpm struct {
	file   *os.File
	name   string // of the package
	digest string // SHA-256, hexadecimal
	size   int64  // bytes
}

// openSRPM reads a source package through, so that a damaged one is refused
// before it travels. want is the package it has to be; empty: any.
func openSRPM(path, want string) (*srpm, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, notAnSRPM(path, err)
	}
	s, err := readSRPM(f, path, want)
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func readSRPM(f *os.File, path, want string) (*srpm, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, notAnSRPM(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, notAnSRPM(path, fmt.Errorf("%s is not a regular file", path))
	}
	sum := sha256.New()
	h, err := rpm.Verify(io.TeeReader(f, sum))
	if err != nil {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is not an SRPM: %v", path, err), "build takes a .src.rpm, as rpmbuild -bs makes it")
	}
	n := h.NEVRA()
	if !h.IsSource() {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is not an SRPM but the package %s", path, n), "build takes the .src.rpm")
	}
	if want != "" && n.Name != want {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s holds the package %s, not %s", path, n.Name, want), "name the package as the SRPM does")
	}
	// Verify reads to the end of the file, or finds that there is more.
	return &srpm{file: f, name: n.Name, digest: hex.EncodeToString(sum.Sum(nil)), size: info.Size()}, nil
}

// upload brings an SRPM to the server from offset on. When the connection
// breaks it asks how much has come and goes on there.
func (c *client) upload(ctx context.Context, s Streams, f *srpm, offset int64) error {
	p := &progress{screen: newScreen(s.Err), name: filepath.Base(f.file.Name()), total: f.size, began: time.Now()}
	defer p.end()
	tries := patience{first: 200 * time.Millisecond, most: 10 * time.Second, limit: 2 * time.Minute}
	for {
		err := c.put(ctx, f, offset, p)
		if err == nil || !passing(err) {
			return err
		}
		if tries.spent == 0 {
			p.end()
			fmt.Fprintf(s.Err, "the upload was cut off, trying again: %v\n", err)
		}
		if !tries.wait(ctx) {
			return err
		}
		have, there, headErr := c.uploaded(ctx, f)
		switch {
		case headErr != nil && !passing(headErr):
			return headErr
		case headErr != nil:
			continue
		case there:
			return nil
		case have > offset:
			tries.reset()
		}
		offset = have
	}
}

// put sends the rest of the file. The server answers when it has checked all.
func (c *client) put(ctx context.Context, f *srpm, offset int64, p *progress) error {
	if offset < 0 || offset > f.size {
		return fmt.Errorf("the build server says it has %d bytes of an SRPM of %d", offset, f.size)
	}
	p.from(offset)
	body := io.TeeReader(io.NewSectionReader(f.file, offset, f.size-offset), p)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.cfg.address+wire.SRPMPath(f.digest), body)
	if err != nil {
		return err
	}
	req.ContentLength = f.size - offset
	if req.ContentLength == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set(wire.OffsetHeader, strconv.FormatInt(offset, 10))
	req.Header.Set("Content-Type", "application/x-rpm")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return refused(resp)
}

// uploaded asks how many bytes of the file the server has, or whether it has it
// all and checked.
func (c *client) uploaded(ctx context.Context, f *srpm) (offset int64, there bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.cfg.address+wire.SRPMPath(f.digest), nil)
	if err != nil {
		return 0, false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil || resp.StatusCode == http.StatusOK {
		return 0, err == nil, err
	}
	offset, err = strconv.ParseInt(resp.Header.Get(wire.OffsetHeader), 10, 64)
	return offset, false, err
}

// refused is the error of an answer that is no success; nil: it is one.
func refused(resp *http.Response) error {
	if resp.StatusCode < http.StatusMultipleChoices {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return errors.Join(ofStatus(resp.StatusCode, strings.TrimSpace(string(text))), err)
}

// progress shows how an upload goes on, on a terminal and only when it takes
// longer than a second. What was refused half-way may still be sent for a
// moment after the answer, while the next try begins.
type progress struct {
	screen screen
	name   string
	total  int64
	began  time.Time

	mu    sync.Mutex // guards the fields below, and the line on the screen
	sent  int64
	shown time.Time // zero: nothing is on the screen
}

// from begins at an offset.
func (p *progress) from(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = offset
}

func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += int64(len(b))
	now := time.Now()
	if p.screen.terminal() && now.Sub(p.began) > time.Second && now.Sub(p.shown) > 100*time.Millisecond {
		p.shown = now
		const mib = 1 << 20
		line := fmt.Sprintf("Uploading %s: %d %% (%.1f of %.1f MiB)", oneLine(p.name), p.sent*100/max(p.total, 1), float64(p.sent)/mib, float64(p.total)/mib)
		fmt.Fprintf(p.screen, "\r\x1b[K%.*s", p.screen.width-1, line)
	}
	return len(b), nil
}

// end takes the line off the screen.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shown.IsZero() {
		fmt.Fprint(p.screen, "\r\x1b[K")
		p.shown = time.Time{}
	}
}
