package builder

import (
	"context"
	"time"
)

// How often a machine is looked at that can build, and one that cannot: ever less
// often, since each look starts a sandbox. Both at once after trouble that was no
// package's.
const (
	readyTick = 15 * time.Second
	firstTry  = 5 * time.Second
	lastTry   = time.Minute
)

// examining asks again and again whether the machine can build, until ctx ends.
func (b *Builder) examining(ctx context.Context) error {
	if b.Ready == nil {
		return nil
	}
	for pause := firstTry; ; {
		b.mu.Lock()
		wait := pause
		if b.unready == "" {
			wait, pause = readyTick, firstTry
		} else {
			pause = min(2*pause, lastTry)
		}
		b.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-b.doubt:
			t.Stop()
		case <-t.C:
		}
		b.examine()
	}
}

// examine asks whether the machine can build. Nobody waits for the answer: reports go
// on with the one before.
func (b *Builder) examine() {
	why := ""
	if b.Ready != nil {
		if err := b.Ready(); err != nil {
			why = err.Error()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unready = why
	b.measure()
}
