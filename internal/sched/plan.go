package sched

import (
	"cmp"
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
	free := slices.Clone(builders)
	slices.SortFunc(free, func(a, b Capacity) int { return cmp.Compare(a.Name, b.Name) })
	busy := map[string]int{}
	for u, n := range running {
		busy[u] = n
	}
	lines := q.ordered()
	at := make([]int, len(lines))
	var plan []Assignment
	for {
		best, builder := -1, -1
		for i, l := range lines {
			if at[i] == len(l.items) {
				continue
			}
			b := choose(free, l.items[at[i]])
			if b >= 0 && (best < 0 || first(l, lines[best], at[i], at[best], busy)) {
				best, builder = i, b
			}
		}
		if best < 0 {
			return plan
		}
		it := lines[best].items[at[best]]
		plan = append(plan, Assignment{ArchJob: it.ID, Builder: free[builder].Name})
		free[builder].Free--
		busy[it.User]++
		at[best]++
	}
}

// first says whether the head of a goes before the head of b.
func first(a, b *line, i, j int, busy map[string]int) bool {
	x, y := a.items[i], b.items[j]
	return cmp.Or(
		cmp.Compare(y.Priority, x.Priority),
		cmp.Compare(busy[x.User], busy[y.User]),
		cmp.Compare(x.ID, y.ID)) < 0
}

// choose gives the builder with the most room for an item, -1 for none. The
// one to avoid comes last whatever its room.
func choose(bs []Capacity, it Item) int {
	best := -1
	for i, b := range bs {
		if b.Free <= 0 || !b.fits(it) {
			continue
		}
		if best < 0 || roomier(b, bs[best], it.Avoid) {
			best = i
		}
	}
	return best
}

func roomier(a, b Capacity, avoid string) bool {
	if (a.Name == avoid) != (b.Name == avoid) {
		return b.Name == avoid
	}
	return a.Free*b.Slots > b.Free*a.Slots // the larger share of its slots free; names break ties, being sorted
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
