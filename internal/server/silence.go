package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"plague"
	"plague/internal/sched"
	"plague/internal/store"
)

// silence takes a builder's arch jobs away when its lease has run out, or soon
// when its machine says that nobody listens there.
func (a *attendant) silence(ctx context.Context, now time.Time, cause error) error {
	if !errors.Is(cause, syscall.ECONNREFUSED) {
		a.refusing = time.Time{}
	} else if a.refusing.IsZero() {
		a.refusing = now
	}
	why := ""
	switch {
	case now.Sub(a.heard) >= a.s.Options.Lease:
		why = fmt.Sprintf("builder %s has been silent for %s: %v", a.link.Name, now.Sub(a.heard).Round(time.Second), cause)
	case !a.refusing.IsZero() && now.Sub(a.refusing) >= a.s.Options.Refused:
		why = fmt.Sprintf("builder %s has refused connections for %s", a.link.Name, now.Sub(a.refusing).Round(time.Second))
	default:
		return a.hide(ctx, now, cause)
	}
	held, err := a.holds(ctx)
	if err != nil {
		a.renew()
		return err
	}
	for _, h := range held {
		v := verdict{id: attemptOf(h), state: plague.ArchQueued, back: plague.FailureLost, why: why}
		if err := a.commit(ctx, now, v); err != nil && !overtaken(err) {
			a.renew()
			return err
		}
	}
	return a.hide(ctx, now, cause)
}

// hide takes the builder out of the plan as soon as it does not answer; its
// arch jobs stay its own until the lease runs out.
func (a *attendant) hide(ctx context.Context, now time.Time, cause error) error {
	a.trouble = "it does not answer: " + cause.Error()
	return a.show(ctx, now)
}

func (a *attendant) room() capacity {
	c := capacity{Capacity: sched.Capacity{Name: a.link.Name}}
	if a.report == nil {
		return c
	}
	c.Arches, c.Emulated, c.Targets, c.Slots = a.report.Arches, a.report.Emulated, a.report.Targets, a.report.Slots
	c.Machine = forPlans(machineOf(*a.report))
	c.takes = a.report.Suspended == "" && a.double == "" && a.trouble == "" && a.clock == "" && a.knows && a.drained == "" && time.Now().After(a.resting)
	if c.most = c.Slots; a.setbacks >= ailsAfter {
		c.most = 1
	}
	for _, r := range a.report.Attempts {
		if _, ours := a.namedIn[r.AttemptID]; !ours && !r.Phase.Ended() && r.Refused == "" {
			c.stray++
		}
	}
	return c
}

// show tells the planner and the store how the builder is.
func (a *attendant) show(ctx context.Context, now time.Time) error {
	b := plague.Builder{Name: a.link.Name, Address: a.link.URL, Suspended: a.trouble}
	if r := a.report; r != nil {
		b.Alive = now.Sub(a.heard) < a.s.Options.Lease && a.refusing.IsZero()
		b.Instance, b.Arches, b.Targets, b.Slots = r.Instance, r.Arches, r.Targets, r.Slots
		b.Machine = machineOf(*r)
		b.Suspended = cmp.Or(a.trouble, a.double, a.drained, r.Suspended, a.clock, a.ails())
		b.SeenAt = a.heard
		b.Free = max(0, r.Slots-running(r.Attempts))
	}
	a.s.setCapacity(a.room())
	if same(b, a.shown) || !a.knows { // nobody is told that it takes work who may be drained
		return nil
	}
	if err := a.s.DB.NoteBuilder(ctx, a.term, now, b); err != nil {
		return err
	}
	a.shown = b
	return nil
}

// seenAge is how stale the time of a builder's last answer may be in the
// store: writing it with each answer would cost a commit each.
const seenAge = 30 * time.Second

func same(a, b plague.Builder) bool {
	if a.SeenAt.Sub(b.SeenAt) > seenAge {
		return false
	}
	a.SeenAt, b.SeenAt = time.Time{}, time.Time{}
	a.Machine, b.Machine = forPlans(a.Machine), forPlans(b.Machine) // the rest goes with the time
	return fmt.Sprint(a) == fmt.Sprint(b)
}

func running(as []plague.AttemptReport) int {
	n := 0
	for _, a := range as {
		if !a.Phase.Ended() && a.Refused == "" {
			n++
		}
	}
	return n
}

// attemptOf names the current attempt of an arch job.
func attemptOf(h store.HeldRow) plague.AttemptID {
	return plague.AttemptID{ArchJob: h.ID, Number: h.Attempt, Token: h.Token}
}
