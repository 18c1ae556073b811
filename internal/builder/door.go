package builder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"strconv"
	"time"

	"plague"
	"plague/internal/buildlog"
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
		err := b.stream(r.Context(), w, a, file, max(offset, 0))
		if err == nil {
			return
		}
		if !errors.Is(err, errEnding) && r.Context().Err() == nil {
			b.Log.Warn("log not served", "file", file, "error", err)
		}
		panic(http.ErrAbortHandler) // an answer that just stops would look like the log's end, also to who is leaving
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

// errEnding ends what follows a log that outlives the daemon.
var errEnding = errors.New("the daemon ends")

// stream copies a log as it grows until its attempt has ended, or the daemon does.
func (b *Builder) stream(ctx context.Context, w http.ResponseWriter, a *attempt, file string, offset int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-b.done:
			cancel(errEnding)
		case <-ctx.Done():
		}
	}()
	w.Header().Set("Content-Type", "application/octet-stream")
	open := func() (*os.File, error) { return b.Work.Open(file) }
	err := buildlog.Follow(ctx, open, offset, wire.Flushed(w), func() <-chan struct{} { return b.grown(a) }, func() bool { return b.over(a) })
	if errors.Is(err, plague.ErrNotFound) {
		return nil // it ended before it had this log
	}
	return err
}

// grown is closed when a log of the attempt has grown, or it has ended.
func (b *Builder) grown(a *attempt) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.grown
}

func (b *Builder) over(a *attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.ended()
}
