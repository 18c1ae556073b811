package sched

import (
	"fmt"
	"slices"
	"strings"

	"plague"
)

// Capacity is what one builder offers at this moment.
type Capacity struct {
	Name    string
	Arches  []string
	Targets []string // patterns; empty: any
	Slots   int
	Free    int
}

func (c Capacity) fits(it Item) bool {
	roots := it.Roots
	if len(roots) == 0 {
		roots = []string{it.Arch}
	}
	return slices.ContainsFunc(roots, func(arch string) bool { return slices.Contains(c.Arches, arch) }) &&
		plague.TakesTarget(c.Targets, it.Target)
}

// An Assignment pairs an arch job with a builder.
type Assignment struct {
	ArchJob plague.ArchJobID
	Builder string
}

// Plan pairs the queue's heads with free slots: the highest priority first,
// then the user who runs least, then the oldest. running says how many arch
// jobs each user has on builders now. The queue is not changed.
func Plan(q *Queue, builders []Capacity, running map[string]int) []Assignment {
	r, next := newRoom(builders), newHeads(q, running)
	var plan []Assignment
	for r.slots > 0 && next.Len() > 0 {
		it := next.first()
		b := r.choose(it)
		if b == nil {
			next.drop() // a plan frees no slot: those behind it wait, too
			continue
		}
		plan = append(plan, Assignment{ArchJob: it.ID, Builder: b.Name})
		next.take()
	}
	return plan
}

// Why says for people what an item in the queue waits for.
func Why(it Item, builders []Capacity) string {
	var fit []string
	for _, b := range builders {
		if b.fits(it) {
			fit = append(fit, fmt.Sprintf("%s (%d of %d slots free)", b.Name, max(b.Free, 0), b.Slots))
		}
	}
	if len(fit) == 0 {
		return fmt.Sprintf("no builder that takes jobs builds %s for %s", it.Arch, it.Target)
	}
	slices.Sort(fit)
	return "waits for a slot on " + strings.Join(fit, ", ")
}
