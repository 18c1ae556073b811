package farmtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plague"
)

// copying is what the repository script of a target does: it takes its time, and
// one run in four fails.
type copying struct {
	now    bool  // a run is under way
	runs   int   // so far
	copied int64 // newest snapshot that is copied
}

// copy is a run of the script.
func (w *World) copy(ctx context.Context, t *plague.Target, n int64) (said string, err error) {
	for _, arch := range t.BaseArches {
		if shown := w.reader.Shown(t, arch); shown < n {
			w.broken("3: the script of %s runs for snapshot %d, for %s its address shows %d", t, n, arch, shown)
		}
	}
	run, err := w.beginCopy(t.String())
	if err != nil {
		return "", err
	}
	err = pause(ctx, time.Duration(run%3)*20*time.Second)
	if err == nil && run%4 == 1 {
		err = errors.New("exit status 3")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.copies[t.String()]
	c.now = false
	if err == nil {
		c.copied = max(c.copied, n)
	}
	return fmt.Sprint("run ", run), err
}

func (w *World) beginCopy(target string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.copies[target]
	if c == nil {
		c = &copying{}
		w.copies[target] = c
	}
	if c.now {
		return 0, fmt.Errorf("%w: a run goes on", plague.ErrConflict)
	}
	c.now = true
	c.runs++
	return c.runs, nil
}

// copied is the newest snapshot that a target's script has run for.
func (w *World) copied(target string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.copies[target]; c != nil {
		return c.copied
	}
	return 0
}
