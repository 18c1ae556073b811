package cli

import (
	"context"
	"math/rand/v2"
	"time"
)

// patience is how a command goes on trying while the server is away: with
// growing pauses, of which a random part is left out, so that all who lost the
// same server do not come back to it at once.
type patience struct {
	first time.Duration // pause after the first failure
	most  time.Duration // longest pause
	limit time.Duration // of all pauses since something came last; 0: none
	pause time.Duration
	spent time.Duration
}

// reset is called when something has come.
func (p *patience) reset() { p.pause, p.spent = 0, 0 }

// wait pauses before the next try; false: it is enough, or ctx is over.
func (p *patience) wait(ctx context.Context) bool {
	p.pause = min(max(2*p.pause, p.first), p.most)
	pause := p.pause/2 + rand.N(p.pause/2+1)
	if p.spent += pause; p.limit > 0 && p.spent > p.limit {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// follow takes step after step until one says that it is done, and repeats those
// that went wrong for a while. A step calls up when something has come; say tells
// whoever waits.
func (p *patience) follow(ctx context.Context, say func(format string, args ...any), step func(up func()) (done bool, err error)) error {
	up := func() {
		if p.spent > 0 {
			say("the build server answers again")
		}
		p.reset()
	}
	for {
		done, err := step(up)
		switch {
		case done && err == nil:
			return nil
		case err == nil:
			continue
		case !passing(err) || ctx.Err() != nil:
			return err
		}
		if p.spent == 0 {
			say("the connection to the build server is lost, trying again: %s", oneLine(err.Error()))
		}
		if !p.wait(ctx) {
			return err
		}
	}
}
