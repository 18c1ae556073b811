package sched

import (
	"slices"
	"time"

	"plague"
)

// Capacity is what one builder offers at this moment.
type Capacity struct {
	Name     string
	Arches   []string
	Emulated []string // of Arches: an emulator runs their programs, slowly
	Targets  []string // patterns; empty: any
	Slots    int
	Free     int
}

func (c Capacity) fits(it Item) bool {
	return it.roots(func(arch string) bool { return slices.Contains(c.Arches, arch) }) && plague.TakesTarget(c.Targets, it.Target)
}

// emulates says whether a builder that fits an item has an emulator build it.
func (c Capacity) emulates(it Item) bool {
	return len(c.Emulated) > 0 &&
		!it.roots(func(arch string) bool { return slices.Contains(c.Arches, arch) && !slices.Contains(c.Emulated, arch) })
}

// An Assignment pairs an arch job with a builder.
type Assignment struct {
	ArchJob plague.ArchJobID
	Builder string
}

// Plan pairs the queue's heads with free slots: the highest priority first,
// then the user who runs least, then the oldest. running says how many arch
// jobs each share has on builders now. The queue is not changed.
func Plan(q *Queue, builders []Capacity, running map[Share]int, now time.Time) []Assignment {
	r, next := newRoom(builders), newHeads(q, running, now)
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

// Fitting lists the builders that could build an item if they had room.
func Fitting(it Item, builders []Capacity) (fit []Capacity) {
	for _, b := range builders {
		if b.fits(it) {
			fit = append(fit, b)
		}
	}
	return fit
}
