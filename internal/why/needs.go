package why

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"plague"
	"plague/internal/sched"
)

// needs is what follows, behind why an item waits, if not every builder for its arch and
// target will do.
func (p *picture) needs(it sched.Item) (text string) {
	if what := it.Needs.String(); what != "" {
		text = "; its target says that it needs " + what
	}
	all := p.capacities()
	var small []string
	fit := sched.Fitting(it, all)
	for _, c := range sched.Building(it, all) {
		same := func(f sched.Capacity) bool { return f.Name == c.Name }
		if it.Needs.Met(c.Machine) && !slices.ContainsFunc(fit, same) {
			small = append(small, fmt.Sprintf("%s (%s of memory, %s of disk free)", c.Name, plague.Size(c.Machine.Memory), plague.Size(c.Machine.FreeDisk)))
		}
	}
	if len(small) == 0 {
		return text
	}
	return fmt.Sprintf("%s; its builds used up to %s of memory and %s of disk, so it leaves out %s",
		text, plague.Size(it.Learned.Memory), plague.Size(it.Learned.Disk), strings.Join(few(small), ", "))
}

func (p *picture) capacities() (all []sched.Capacity) {
	for _, b := range p.builders {
		all = append(all, p.capacity(b))
	}
	return all
}

// few are the first of many builders.
func few(names []string) []string {
	if n := len(names) - mostNamed; n > 0 {
		return append(names[:mostNamed:mostNamed], fmt.Sprintf("and so on for %d others", n))
	}
	return names
}

// mostNamed bounds the builders that an answer names.
const mostNamed = 5

// unmet says why none of the builders that build for an item's arch and target has what
// it needs; empty: one has, or there is none.
func (p *picture) unmet(it sched.Item) string {
	all := sched.Building(it, p.capacities())
	var lack []string
	for _, c := range all {
		what := it.Needs.Missing(c.Machine)
		if what == "" {
			return ""
		}
		lack = append(lack, fmt.Sprintf("%s has not %s", c.Name, what))
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("waits for a builder that has what %s needs by its target's file, %s: %s", it.Package, it.Needs, strings.Join(few(lack), ", "))
}

// manyQueued bounds the arch jobs of packages with needs that are looked at.
const manyQueued = 1000

// Unmet says of queued arch jobs of these packages that no builder has what they need,
// of limit at most.
func (a *Asker) Unmet(ctx context.Context, packages []string, limit int) ([]string, error) {
	rows, err := a.DB.QueuedOf(ctx, packages, manyQueued)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	p := &picture{}
	known, err := a.ours(ctx)
	if err != nil {
		return nil, err
	}
	p.builders = known
	var lines []string
	for _, r := range rows {
		if why := p.unmet(a.Item(r)); why != "" && len(lines) < limit {
			lines = append(lines, fmt.Sprintf("job %d %s %s", r.Job, r.Arch, why))
		}
	}
	return lines, nil
}

// ours are the builders of the configuration.
func (a *Asker) ours(ctx context.Context) ([]plague.Builder, error) {
	known, err := a.DB.Builders(ctx)
	names := map[string]bool{}
	for _, name := range a.Builders() {
		names[name] = true
	}
	var all []plague.Builder
	for _, b := range known {
		if names[b.Name] {
			all = append(all, b)
		}
	}
	return all, err
}
