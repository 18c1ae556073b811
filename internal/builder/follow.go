package builder

import (
	"context"
	"slices"
	"time"
)

// followTick is how soon the end of an earlier warden's supervisor is seen.
const followTick = 200 * time.Millisecond

// follow sweeps after supervisors of an earlier warden: their end is told to
// nobody, for they are no children of this one.
func (w *Warden) follow(ctx context.Context, adopted []string) {
	t := time.NewTicker(followTick)
	defer t.Stop()
	for len(adopted) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		live := slices.DeleteFunc(slices.Clone(adopted), func(name string) bool { return !w.lives(name) })
		if len(live) == len(adopted) {
			continue
		}
		if _, err := w.sweep(); err != nil {
			w.Log.Warn("not swept, will try again", "error", err)
			continue
		}
		adopted = live
	}
}
