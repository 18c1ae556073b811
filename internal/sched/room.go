package sched

import (
	"cmp"
	"math"
	"slices"
)

// room is what a plan has not given away yet.
type room struct {
	builders []Capacity // by name
	slots    int        // free, on all of them
	takers   map[constraint][]*Capacity
	rarest   rarity
}

// rarity says by builder how many slots there are, busy ones too, for the rarest
// of its arches: the fewer, the more a slot on it is worth to others.
type rarity map[string]int

func newRoom(builders []Capacity) *room {
	r := &room{builders: slices.Clone(builders), takers: map[constraint][]*Capacity{}, rarest: rarityOf(builders)}
	slices.SortFunc(r.builders, func(a, b Capacity) int { return cmp.Compare(a.Name, b.Name) })
	for _, b := range r.builders {
		r.slots += max(b.Free, 0)
	}
	return r
}

func rarityOf(builders []Capacity) rarity {
	slots := map[string]int{} // by arch
	for _, b := range builders {
		for _, arch := range b.Arches {
			slots[arch] += b.Slots
		}
	}
	r := rarity{}
	for _, b := range builders {
		r[b.Name] = math.MaxInt
		for _, arch := range b.Arches {
			r[b.Name] = min(r[b.Name], slots[arch])
		}
	}
	return r
}

// choose takes a slot of the best builder for an item, nil for none.
func (r *room) choose(it Item) *Capacity {
	n := it.constraint()
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
		if best == nil || r.rarest.better(b, best, it) {
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

// better says whether a is to be taken before b. The one to avoid comes last whatever
// it offers, and before it the one that would have an emulator build it. What can be
// built for any of several arches leaves the builders of the rarer ones to those that
// have no choice: it takes the cheapest.
func (r rarity) better(a, b *Capacity, it Item) bool {
	avoid := it.Avoid
	if avoid != "" && (a.Name == avoid) != (b.Name == avoid) {
		return b.Name == avoid
	}
	if x, y := a.emulates(it), b.emulates(it); x != y {
		return y
	}
	if len(it.Roots) > 1 && r[a.Name] != r[b.Name] {
		return r[a.Name] > r[b.Name]
	}
	return a.Free*b.Slots > b.Free*a.Slots // the larger share of its slots free; names break ties, being sorted
}
