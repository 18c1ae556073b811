package buildlog

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"plague"
	"plague/internal/durable"
)

// Hub brings the writers and followers of one process together, by the path of
// the log: a follower wakes the moment something is written. Bytes do not pass
// through it; each follower reads the file at its own pace, so a slow one holds up
// nobody. Logs that another process writes are polled. The zero value is ready.
type Hub struct {
	mu   sync.Mutex        // guards the fields below
	logs map[string]*topic // those that have a writer or a follower
}

type topic struct { // guarded by Hub.mu
	users   int
	writing bool
	wake    chan struct{} // closed and replaced at every change
}

// Writer is Create for a log that this process follows too. A second writer for
// the same log is plague.ErrConflict as well.
func (h *Hub) Writer(d *durable.Dir, name string, max int64) (*Writer, error) {
	key := d.Path(name)
	if !h.startWriting(key) {
		return nil, fmt.Errorf("log %s has a writer already: %w", name, plague.ErrConflict)
	}
	w, err := Create(d, name, max)
	if err != nil {
		h.stopWriting(key)
		return nil, err
	}
	w.wake = func() { h.wake(key) }
	w.left = func() { h.stopWriting(key) }
	return w, nil
}

// Follow is the function of that name for the log name in d. Its caller need not
// know whether this process writes it, another one does, or nobody yet.
func (h *Hub) Follow(ctx context.Context, d *durable.Dir, name string, offset int64, w io.Writer, ended func() bool) error {
	key := d.Path(name)
	h.enter(key)
	defer h.leave(key)
	open := func() (*os.File, error) { return d.Open(name) }
	return Follow(ctx, open, offset, w, func() <-chan struct{} { return h.next(key) }, ended)
}

func (h *Hub) startWriting(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topic(key)
	if t.writing {
		return false
	}
	t.writing = true
	t.users++
	return true
}

func (h *Hub) stopWriting(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs[key].writing = false
	h.drop(key)
}

func (h *Hub) enter(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topic(key).users++
}

func (h *Hub) leave(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(key)
}

func (h *Hub) next(key string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logs[key].wake
}

func (h *Hub) wake(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.logs[key]
	close(t.wake)
	t.wake = make(chan struct{})
}

// topic finds or makes a log's topic; h.mu is held.
func (h *Hub) topic(key string) *topic {
	t := h.logs[key]
	if t == nil {
		t = &topic{wake: make(chan struct{})}
		if h.logs == nil {
			h.logs = map[string]*topic{}
		}
		h.logs[key] = t
	}
	return t
}

// drop takes one user from a log and forgets it with the last; h.mu is held.
func (h *Hub) drop(key string) {
	t := h.logs[key]
	t.users--
	if t.users == 0 {
		delete(h.logs, key)
	}
}
