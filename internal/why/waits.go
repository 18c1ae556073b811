package why

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/sched"
)

// waits says of each arch job of a run that has not ended what it waits for.
func (a *Asker) waits(ctx context.Context, j plague.Job) ([]plague.Wait, error) {
	all, err := a.DB.ArchJobs(ctx, j.UID, j.Run)
	if err != nil {
		return nil, err
	}
	var waits []plague.Wait
	for _, one := range all {
		if one.State.Final() {
			continue
		}
		w := plague.Wait{Arch: one.Arch, State: one.State}
		if w.Tried, err = a.tried(ctx, one); err != nil {
			return nil, err
		}
		if one.State != plague.ArchQueued {
			w.Text = doing(one)
		} else if err := a.queued(ctx, one, &w); err != nil {
			return nil, err
		}
		waits = append(waits, w)
	}
	return waits, nil
}

// tried are the attempts of an arch job that came to nothing.
func (a *Asker) tried(ctx context.Context, one plague.ArchJob) (lines []string, err error) {
	if one.Lost+one.Infra == 0 && one.Outgrew == "" {
		return nil, nil
	}
	all, err := a.DB.Attempts(ctx, one.ID)
	for _, t := range all {
		kind := plague.FailureKind(t.Outcome)
		if kind == plague.FailureLost || kind == plague.FailureInfrastructure || kind.Size() {
			lines = append(lines, fmt.Sprintf("attempt %d on %s, %s: %s", t.Number, t.Builder, t.Outcome, t.Reason))
		}
	}
	return lines, err
}

// doing says what goes on with an arch job that a builder has.
func doing(one plague.ArchJob) string {
	switch one.State {
	case plague.ArchAssigned:
		return fmt.Sprintf("is given to %s, which has not begun, since %s", one.Builder, since(one.StateAt))
	case plague.ArchRunning:
		return fmt.Sprintf("is %s on %s, since %s", one.Phase, one.Builder, since(one.StateAt))
	}
	return fmt.Sprintf("has ended on %s, and its files are fetched since %s", one.Builder, since(one.StateAt))
}

// queued says what an arch job in the queue waits for.
func (a *Asker) queued(ctx context.Context, one plague.ArchJob, w *plague.Wait) error {
	p, err := a.look(ctx)
	if err != nil {
		return err
	}
	it, there := p.queue.Find(one.ID)
	if !there {
		w.Text = "has just come into the queue"
		return nil
	}
	w.Builders = p.candidates(it)
	w.Text = p.constraint(it, w.Builders)
	w.Place, w.Earliest, w.Latest, _ = p.foresee(one.ID)
	return nil
}

// constraint says which of what a builder must offer is missing.
func (p *picture) constraint(it sched.Item, builders []plague.Candidate) string {
	arch := it.Arch
	if len(it.Roots) > 0 {
		arch = fmt.Sprintf("%s (in a buildroot of %s)", it.Arch, strings.Join(it.Roots, " or "))
	}
	if len(builders) == 0 {
		if why := p.unmet(it); why != "" {
			return why
		}
		return fmt.Sprintf("waits: none of the %d builders builds %s for %s", len(p.builders), arch, it.Target)
	}
	taking := 0
	for _, b := range builders {
		if b.Trouble == "" {
			taking++
			if b.Free > 0 {
				return fmt.Sprintf("waits for its turn: %s has a free slot", b.Builder) + p.needs(it)
			}
		}
	}
	if taking == 0 {
		return fmt.Sprintf("waits: of the builders that build %s for %s none takes anything new", arch, it.Target) + p.needs(it)
	}
	text := fmt.Sprintf("waits for a slot: those of the builders that build %s for %s are taken", arch, it.Target) + p.needs(it)
	if it.Priority < 0 && time.Since(it.Since) < sched.Patience {
		text += "; a background job lets others go first for a day"
	}
	return text
}
