package sched

import (
	"cmp"
	"slices"
	"strings"
)

// room is what a plan has not given away yet.
type room struct {
	builders []Capacity // by name
	slots    int        // free, on all of them
	takers   map[need][]*Capacity
}

// need is what decides which builders an item fits on.
type need struct {
	constraint
	roots string
}

func newRoom(builders []Capacity) *room {
	r := &room{builders: slices.Clone(builders), takers: map[need][]*Capacity{}}
	slices.SortFunc(r.builders, func(a, b Capacity) int { return cmp.Compare(a.Name, b.Name) })
	for _, b := range r.builders {
		r.slots += max(b.Free, 0)
	}
	return r
}

// choose takes a slot of the builder with the most room for an item, nil for
// none. The one to avoid comes last whatever its room.
func (r *room) choose(it Item) *Capacity {
	n := need{constraint{it.Arch, it.Target}, strings.Join(it.Roots, " ")}
	takers, known := r.takers[n]
	if !known {
		for i := range r.builders {
			if b := &r.builders[i]; b.Free > 0 && b.fits(it) {
				takers = append(takers, b)
			}
		}
	}
	var best *Capacity
	left := takers[:0] // a full one is not looked at again
	for _, b := range takers {
		if b.Free <= 0 {
			continue
		}
		left = append(left, b)
		if best == nil || roomier(b, best, it.Avoid) {
			best = b
		}
	}
	r.takers[n] = left
	if best != nil {
		best.Free--
		r.slots--
	}
	return best
}

func roomier(a, b *Capacity, avoid string) bool {
	if avoid != "" && (a.Name == avoid) != (b.Name == avoid) {
		return b.Name == avoid
	}
	return a.Free*b.Slots > b.Free*a.Slots // the larger share of its slots free; names break ties, being sorted
}
