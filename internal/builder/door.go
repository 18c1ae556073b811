package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strconv"
	"time"

	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// Door is what the server reaches: the calls, and the files of attempts. Who
// may come in is decided by the TLS configuration before it.
func (b *Builder) Door() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(wire.RPCPath, xmlrpc.NewHandler(wire.BuilderMethods(b), xmlrpc.Options{Fault: wire.Fault(b.Log), Log: b.Log, Timeout: 2 * wire.MaxWait}))
	mux.HandleFunc("GET /attempt/{archjob}/{number}/{name}", b.serveFile)
	return mux
}

// serveFile serves one file of an attempt, from a range on; with follow=1 a
// log stays open until the attempt has ended.
func (b *Builder) serveFile(w http.ResponseWriter, r *http.Request) {
	a := b.named(r.PathValue("archjob"), r.PathValue("number"))
	name := r.PathValue("name")
	if a == nil || name != path.Base(name) || name == "." || name == ".." {
		http.NotFound(w, r)
		return
	}
	file := path.Join(dirName(a.record.ID), filesDir, name)
	if r.URL.Query().Get("follow") != "" {
		offset, _ := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
		if err := b.stream(r.Context(), w, a, file, max(offset, 0)); err != nil && r.Context().Err() == nil {
			b.Log.Warn("log not served", "file", file, "error", err)
		}
		return
	}
	f, err := b.Work.Open(file)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, f)
}

// named finds the newest attempt with an arch job's id and a number.
func (b *Builder) named(archJob, number string) *attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, a := range b.attempts {
		if fmt.Sprint(int64(id.ArchJob)) == archJob && strconv.Itoa(id.Number) == number && a.report.Refused == "" {
			return a
		}
	}
	return nil
}

// streamTick is how long growth of a log can go unnoticed: it is written by
// another process, which tells only now and then.
const streamTick = 200 * time.Millisecond

// stream copies a log as it grows until its attempt has ended.
func (b *Builder) stream(ctx context.Context, w http.ResponseWriter, a *attempt, file string, offset int64) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	flush := http.NewResponseController(w)
	l := tailed{open: func() (*os.File, error) { return b.Work.Open(file) }, offset: offset, buf: make([]byte, 16<<10)}
	defer l.close()
	for {
		last := b.over(a) // asked before the copy: what was written before the end is copied
		n, err := l.copy(w)
		if err != nil {
			return err
		}
		if n > 0 {
			if err := flush.Flush(); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
		if !b.grown(ctx) {
			return ctx.Err()
		}
	}
}

// tailed is a log that grows, opened once it is there.
type tailed struct {
	open   func() (*os.File, error)
	offset int64 // of the next byte
	buf    []byte
	file   *os.File // nil: not there yet
}

// copy copies what has come since the last time.
func (l *tailed) copy(w io.Writer) (n int64, err error) {
	if l.file == nil {
		l.file, err = l.open()
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
	}
	for {
		got, err := l.file.ReadAt(l.buf, l.offset)
		if got > 0 {
			if _, err := w.Write(l.buf[:got]); err != nil {
				return n, err
			}
			n += int64(got)
			l.offset += int64(got)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func (l *tailed) close() {
	if l.file != nil {
		l.file.Close()
	}
}

// grown waits until a log may have grown.
func (b *Builder) grown(ctx context.Context) bool {
	t := time.NewTimer(streamTick)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-b.done:
		return false
	case <-t.C:
		return true
	}
}

func (b *Builder) over(a *attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.ended()
}

// compile-time: the builder is what stands behind its door.
var _ wire.Syncer = (*Builder)(nil)
