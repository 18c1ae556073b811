package sched

import (
	"container/heap"
	"slices"
)

// takers are the builders with a slot that take the items of a class, the best first.
// Others take slots of them too, so a place in the heap may be too good, never too bad:
// the first is put in its place before it is believed.
type takers struct {
	builders []Capacity // all of them, by name
	heap     ranks
}

// rank is what makes a builder a good one, when it got its place. It points at nothing,
// for in a plan nothing moves as often: a slot moves its builder in the heaps of all.
type rank struct {
	at          int // among all builders
	free, slots int
	rarest      int // for what has a choice of arches; 0: it has none
	emulates    bool
}

// best gives the best taker of an item, nil for none. Those it had trouble on come last
// whatever they offer, and the one to avoid after all others.
func (t *takers) best(it *Item) *Capacity {
	var shunned []rank
	for t.settle() && t.shunned(it, t.heap[0]) > 0 {
		shunned = append(shunned, t.heap[0])
		t.heap.drop()
	}
	var best *Capacity
	if len(t.heap) > 0 {
		best = &t.builders[t.heap[0].at]
	} else if len(shunned) > 0 { // they came best first
		least := slices.MinFunc(shunned, func(a, b rank) int { return t.shunned(it, a) - t.shunned(it, b) })
		best = &t.builders[least.at]
	}
	for _, a := range shunned {
		heap.Push(&t.heap, a)
	}
	return best
}

// shunned says how little an item wants a builder.
func (t *takers) shunned(it *Item, a rank) int {
	switch name := t.builders[a.at].Name; {
	case it.Avoid == name:
		return 2
	case slices.Contains(it.Tried, name):
		return 1
	}
	return 0
}

// settle puts the first in its place, without those that have become full; false: none is left.
func (t *takers) settle() bool {
	for len(t.heap) > 0 {
		top := &t.heap[0]
		free := t.builders[top.at].Free
		if top.free == free {
			return true
		}
		if top.free = free; free > 0 {
			t.heap.sink()
		} else {
			t.heap.drop()
		}
	}
	return false
}

// better says whether a is to be taken before b. An emulator comes after all others. What
// can be built for any of several arches leaves the builders of the rarer ones to those
// that have no choice: it takes the cheapest. Then the larger share of free slots counts.
func (a *rank) better(b *rank) bool {
	if a.emulates != b.emulates {
		return b.emulates
	}
	if a.rarest != b.rarest {
		return a.rarest > b.rarest
	}
	if x, y := a.free*b.slots, b.free*a.slots; x != y {
		return x > y
	}
	return a.at < b.at
}

// ranks is a heap, the best first.
type ranks []rank

// sink is heap.Fix of the first, at a third of its cost.
func (r ranks) sink() {
	top, at := r[0], 0
	for {
		next := 2*at + 1
		if next+1 < len(r) && r[next+1].better(&r[next]) {
			next++
		}
		if next >= len(r) || !r[next].better(&top) {
			break
		}
		r[at], at = r[next], next
	}
	r[at] = top
}

// drop is heap.Pop, which would allocate what it gives.
func (r *ranks) drop() {
	last := len(*r) - 1
	(*r)[0] = (*r)[last]
	if *r = (*r)[:last]; last > 0 {
		r.sink()
	}
}

// Len, Less, Swap, Push and Pop implement heap.Interface.

func (r ranks) Len() int           { return len(r) }
func (r ranks) Less(i, j int) bool { return r[i].better(&r[j]) }
func (r ranks) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranks) Push(x any)        { *r = append(*r, x.(rank)) }

func (r *ranks) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
