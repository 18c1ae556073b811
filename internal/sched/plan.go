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
	Machine  plague.Machine
}

// Free says how many arch jobs more a builder of so many slots may get, of which so
// many are used, and on which the results of so many builds wait to be fetched. They
// are not in a slot, but where the server is slower than its builders, or a line is,
// what waits shall wait in the queue: each result is told in each report, fills a disk,
// and is lost with its builder.
func Free(slots, used, results int) int {
	return min(slots-used, slots+max(slots, 2)-used-results)
}

func (c Capacity) fits(it Item) bool { return c.builds(it) && it.Needs.Met(c.Machine) }

// builds says whether a builder builds for the arch and the target of an item.
func (c Capacity) builds(it Item) bool {
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
// then the user who runs least, then the oldest, where what takes long counts as
// older. running says how many arch jobs each share has on builders now. The queue
// is not changed.
func Plan(q *Queue, builders []Capacity, running map[Share]int, now time.Time) []Assignment {
	r, next := newRoom(builders), newHeads(q, running, now)
	var plan []Assignment
	for r.slots > 0 {
		it, class := next.first()
		if it == nil {
			break
		}
		b := r.choose(it, class)
		if b == nil {
			next.give(class) // a plan frees no slot: all that need the same wait, too
			continue
		}
		plan = append(plan, Assignment{ArchJob: it.ID, Builder: b.Name})
		next.take()
	}
	return plan
}

// Building lists the builders that build for the arch and target of an item, with what
// it needs or without.
func Building(it Item, builders []Capacity) (all []Capacity) {
	for _, b := range builders {
		if b.builds(it) {
			all = append(all, b)
		}
	}
	return all
}

// Fitting lists the builders that could build an item if they had room: of those that
// have what it must have, the ones that hold it by what it used before, or the largest.
func Fitting(it Item, builders []Capacity) (fit []Capacity) {
	for _, b := range fitting(it, builders) {
		fit = append(fit, *b)
	}
	return fit
}

func fitting(it Item, builders []Capacity) []*Capacity {
	var all []*Capacity
	for i := range builders {
		if b := &builders[i]; b.fits(it) {
			all = append(all, b)
		}
	}
	return sizeOf(it.Learned).holding(all)
}
