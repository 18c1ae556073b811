package cli

import (
	"context"
	"time"
)

// patience is how a command goes on trying while the server is away: with
// growing pauses, and not for ever.
type patience struct {
	first time.Duration // pause after the first failure
	most  time.Duration // longest pause
	limit time.Duration // of all pauses since something came last
	pause time.Duration
	spent time.Duration
}

// reset is called when something has come.
func (p *patience) reset() { p.pause, p.spent = 0, 0 }

// wait pauses before the next try; false: it is enough, or ctx is over.
func (p *patience) wait(ctx context.Context) bool {
	p.pause = min(max(2*p.pause, p.first), p.most)
	if p.spent += p.pause; p.spent > p.limit {
		return false
	}
	t := time.NewTimer(p.pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
