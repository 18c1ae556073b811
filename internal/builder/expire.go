package builder

import (
	"slices"
	"time"
)

const (
	keepUnnamed = 7 * 24 * time.Hour // how long what no orders name is kept
	keepShort   = time.Hour          // the same while the disk has no room
)

// expire drops ended attempts that no orders have named for so long that no farm
// wants them: the oldest first, and while the disk is short only as many as it
// needs. What runs goes on. b.mu is held.
func (b *Builder) expire(now time.Time) {
	var ended []*attempt
	for _, a := range b.attempts {
		if a.ended() {
			ended = append(ended, a)
		}
	}
	slices.SortFunc(ended, func(x, y *attempt) int { return x.named.Compare(y.named) })
	for _, a := range ended {
		if idle := now.Sub(a.named); idle <= keepShort || idle <= keepUnnamed && b.suspended == "" {
			return // and so it is for all that follow
		}
		if err := b.remove(a); err != nil {
			b.Log.Warn("attempt not deleted, will try again", "arch_job", a.report.ArchJob, "attempt", a.report.Number, "error", err)
			return
		}
		b.Log.Info("attempt dropped: no orders name it", "arch_job", a.report.ArchJob, "attempt", a.report.Number, "since", a.named)
		delete(b.attempts, a.report.AttemptID)
		b.touch()
		b.measure()
	}
}
