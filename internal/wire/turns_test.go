package wire_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"
	"plague/internal/wire"

	"golang.org/x/sync/errgroup"
)

// Files that are fetched in turns go over one connection, one after the other, however
// one of them ends; who waits for a turn can give up.
func TestTurns(t *testing.T) {
	var underWay, most, connections atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), underWay.Add(1)))
		defer underWay.Add(-1)
		if r.URL.Path == "/absent" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	dir, err := durable.Open(t.TempDir(), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	store, err := artifact.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	turns := make(wire.Turns, 1)
	fetch := func(ctx context.Context, path string) error {
		sum := sha256.Sum256([]byte(path))
		a := plague.Artifact{Name: "it", Digest: hex.EncodeToString(sum[:]), Size: int64(len(path))}
		return wire.Fetch(ctx, srv.Client(), turns, srv.URL+path, store, a, time.Minute)
	}
	var g errgroup.Group
	for i := range 20 {
		g.Go(func() error { return fetch(t.Context(), fmt.Sprint("/", i)) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if most.Load() != 1 || connections.Load() != 1 {
		t.Errorf("%d at a time over %d connections", most.Load(), connections.Load())
	}
	if err := fetch(t.Context(), "/absent"); !errors.Is(err, wire.ErrPeer) {
		t.Errorf("what is not there: %v", err)
	}
	turns <- struct{}{} // the turn was left, or this would wait for ever
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fetch(ctx, "/late"); !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
}
