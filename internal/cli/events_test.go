package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"plague"
	"plague/internal/server"
)

// TestEventsCutInALine: a connection that breaks within an event costs nothing: the
// event is read again, whole.
func TestEventsCutInALine(t *testing.T) {
	f, c := newFarm(t, server.Options{})
	event := func(id int) string {
		return `{"id":` + strconv.Itoa(id) + `,"at":"2026-11-23T05:20:11Z","what":"job","job":1}` + "\n"
	}
	var asked atomic.Int32
	f.stand(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/events" {
				next.ServeHTTP(w, r)
				return
			}
			since, _ := strconv.Atoi(r.URL.Query().Get("since"))
			io.WriteString(w, event(since+1)+event(since + 2)[:20])
			w.(http.Flusher).Flush()
			if asked.Add(1) < 4 {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, event(since + 2)[20:])
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	flags := eventsFlags{follow: true, since: 0, limit: 5, json: true}
	if err := flags.show(ctx, Streams{Out: &out, Err: io.Discard}, c); err != nil {
		t.Errorf("the follower ended with %v", err)
	}
	if want := event(1) + event(2) + event(3) + event(4) + event(5); out.String() != want {
		t.Errorf("saw\n%s", out.String())
	}
}

// TestEventsServerDown: a server that was never reached is told at once.
func TestEventsServerDown(t *testing.T) {
	f, c := newFarm(t, server.Options{})
	f.door.Close()
	for _, flags := range []eventsFlags{{since: -1}, {since: 0}, {since: 0, follow: true}} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := flags.show(ctx, Streams{Out: io.Discard, Err: io.Discard}, c)
		if err == nil || ctx.Err() != nil {
			t.Errorf("%+v: %v, %v; want it refused at once", flags, err, ctx.Err())
		}
		cancel()
	}
}

// TestEventsUserGone: who is deleted reads on no longer, and is not let in again.
func TestEventsUserGone(t *testing.T) {
	f, c := newFarm(t, server.Options{})
	other := plague.User{Email: "root@example.com", Capabilities: plague.Capabilities()}
	if err := f.db.PutUser(t.Context(), time.Now(), "test", other); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		flags := eventsFlags{follow: true}
		ended <- flags.show(ctx, Streams{Out: w, Err: io.Discard}, c)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatal("the follower says nothing")
	}
	gone := func(u plague.User, _ bool) (plague.User, error) { return u, nil }
	if _, err := f.db.ChangeUser(ctx, time.Now(), "test", "me@example.com", false, gone); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what was under way
	}
	if err := <-ended; !errors.Is(err, plague.ErrDenied) {
		t.Errorf("ended with %v, want a denial", err)
	}
}
