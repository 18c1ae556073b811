package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"plague"
	"plague/internal/store"
)

// Stream serves the events over HTTP, as Server-Sent Events to whoever accepts
// text/event-stream and as JSON lines to everybody else:
//
//	GET …?since=N&job=N&follow=1&wait=SECONDS&limit=N
//
// since is the id of the newest event the reader has (SSE: or the header
// Last-Event-ID); without it a follower gets what happens next, and others
// everything. A reader that keeps the last id misses nothing, however long it
// was away. SSE always follows. JSON lines follow with follow=1; otherwise they
// end with what is there, after waiting for it if there is nothing.
//
// Events name users: the door in front of a Stream has to know its caller.
type Stream struct {
	DB      *store.DB
	Done    <-chan struct{} // closes when followers shall leave; nil: never
	Readers int             // at a time; default 256
	Beat    time.Duration   // between signs of life; default 15s
	Slow    time.Duration   // a reader that takes nothing for so long is dropped; default 30s
	Log     *slog.Logger

	now atomic.Int64
}

func (s *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		http.Error(w, "events are read with GET", http.StatusMethodNotAllowed)
		return
	}
	q, err := parse(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.now.Add(1) > int64(orDefault(s.Readers, 256)) {
		s.now.Add(-1)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many readers of events; try again later", http.StatusServiceUnavailable)
		return
	}
	defer s.now.Add(-1)
	waker := s.DB.Subscribe(store.TopicEvents) // before the first look: nothing in between is missed
	defer waker.Close()
	o := &reader{Stream: s, request: q, w: w, flush: http.NewResponseController(w), wake: waker.C}
	if o.since < 0 {
		if o.since, err = s.DB.LastEvent(r.Context()); err != nil {
			http.Error(w, "the database cannot be reached; try again later", http.StatusServiceUnavailable)
			return
		}
	}
	o.begin()
	if err := o.run(r.Context()); err != nil && r.Context().Err() == nil && s.Log != nil {
		s.Log.InfoContext(r.Context(), "reader of events dropped", "since", o.since, "error", err)
	}
}

func orDefault[T int | time.Duration](v, fallback T) T {
	if v == 0 {
		return fallback
	}
	return v
}

// reader is one who reads.
type reader struct {
	*Stream
	request
	w     http.ResponseWriter
	flush *http.ResponseController
	wake  <-chan struct{}
}

func (o *reader) begin() {
	h := o.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if o.sse {
		h.Set("Content-Type", "text/event-stream")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy in front must not collect them
	h.Set("X-Content-Type-Options", "nosniff")
}

// run writes what is there and, for a follower, what comes.
func (o *reader) run(ctx context.Context) error {
	if err := o.beat(); err != nil { // the head, at once
		return err
	}
	until := time.Now().Add(o.wait)
	for sent := 0; ; {
		n, more, err := o.batch(ctx, o.limit-sent)
		if err != nil {
			return err
		}
		sent += n
		if !o.follow && (sent == o.limit || !more && (sent > 0 || !time.Now().Before(until))) {
			return nil
		}
		if more {
			continue
		}
		if o.follow {
			sent = 0
		}
		if over, err := o.idle(ctx, until); over || err != nil {
			return err
		}
	}
}

// batch writes at most limit events; more says that others are there already.
func (o *reader) batch(ctx context.Context, limit int) (n int, more bool, err error) {
	if o.follow || limit > batch {
		limit = batch
	}
	es, err := o.events(ctx, limit)
	if err != nil {
		return 0, false, err
	}
	for _, e := range es {
		o.since = e.ID
		if err := o.event(e); err != nil {
			return n, false, err
		}
		n++
	}
	if n > 0 {
		err = o.push()
	}
	return n, len(es) == limit, err
}

func (o *reader) events(ctx context.Context, limit int) ([]plague.Event, error) {
	if o.job != 0 {
		return o.DB.EventsOf(ctx, o.job, o.since, limit)
	}
	return o.DB.Events(ctx, o.since, limit)
}

func (o *reader) event(e plague.Event) error {
	line, err := json.Marshal(eventOf(e))
	if err != nil {
		return err
	}
	if err := o.patience(); err != nil {
		return err
	}
	if o.sse {
		_, err = fmt.Fprintf(o.w, "id: %d\ndata: %s\n\n", e.ID, line)
	} else {
		_, err = fmt.Fprintf(o.w, "%s\n", line)
	}
	return err
}

// idle waits for the next event; meanwhile a sign of life goes to followers.
func (o *reader) idle(ctx context.Context, until time.Time) (over bool, err error) {
	beat := orDefault(o.Beat, 15*time.Second)
	if !o.follow {
		beat = max(0, min(beat, time.Until(until)))
	}
	t := time.NewTimer(beat)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return true, nil
	case <-o.Done:
		return true, nil
	case <-o.wake:
		return false, nil
	case <-t.C:
	}
	if !o.follow {
		return false, nil
	}
	return false, o.beat()
}

// beat tells a follower that the line is up, and how far it is: an id without
// data moves what a browser would ask for next. JSON lines have an empty line.
func (o *reader) beat() error {
	if err := o.patience(); err != nil {
		return err
	}
	var err error
	switch {
	case o.sse:
		_, err = fmt.Fprintf(o.w, ": still here\nid: %d\n\n", o.since)
	case o.follow:
		_, err = fmt.Fprint(o.w, "\n")
	}
	if err != nil {
		return err
	}
	return o.push()
}

// patience is how long the next write may take. What the reader does not take
// stays in the store, where it finds it again.
func (o *reader) patience() error {
	return o.flush.SetWriteDeadline(time.Now().Add(orDefault(o.Slow, 30*time.Second)))
}

func (o *reader) push() error { return o.flush.Flush() }
