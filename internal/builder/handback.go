package builder

import (
	"context"
	"time"

	"plague"
)

// HandBackTime is how long a builder may take to hand back what it runs. What is not
// handed back by then the server takes away as it does from one that is silent.
const HandBackTime = 10 * time.Second

// HandBack gives back what the builder runs, for its machine goes down and no supervisor
// lives on: it takes nothing new and stops every build, and it is over when the server
// has heard of that, has fetched what had ended before, and has let it all be forgotten.
func (b *Builder) HandBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, HandBackTime)
	defer cancel()
	b.mu.Lock()
	b.leaving = true
	b.suspended = "it is being stopped, with all that it runs"
	for _, a := range b.attempts {
		if !a.ended() {
			a.stop()
		}
	}
	b.touch()
	left, changed := len(b.attempts), b.changed
	b.mu.Unlock()
	for left > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		b.mu.Lock()
		left, changed = len(b.attempts), b.changed
		b.mu.Unlock()
	}
	return nil
}

// handedBack is how an attempt ended that ended well or was stopped: what was stopped
// because the builder leaves is lost, and nobody wanted it to be. b.mu is held.
func (b *Builder) handedBack(o Outcome) Outcome {
	if !b.leaving || !o.Killed {
		return o
	}
	o.Killed, o.Failure = false, &plague.Failure{Kind: plague.FailureLost, Message: "builder " + b.Name + " was stopped with its machine and has handed it back"}
	return o
}
