package sched

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"

	"plague"
)

// room is what a plan has not given away yet.
type room struct {
	builders []Capacity // by name
	rarest   rarity
	makes    []int // of each of them: its make, a place in of
	of       []*Capacity
	slots    int                // free, on all of them
	takers   map[*class]*takers // with a slot
	alike    map[need]*takers   // the same, by what differs for builders
}

// rarity says by builder how many slots there are, busy ones too, for the rarest
// of its arches: the fewer, the more a slot on it is worth to others.
type rarity map[string]int

// need is what a class wants of the builders that there are. Many classes want the same.
type need struct {
	makes  string // for each make one of doesNot, does, emulates
	memory int64
	disk   int64
	size   size
	any    bool // of several arches
}

const (
	doesNot byte = iota
	does
	emulates
)

func newRoom(builders []Capacity) *room {
	r := &room{builders: slices.Clone(builders), takers: map[*class]*takers{}, alike: map[need]*takers{}, rarest: rarityOf(builders)}
	slices.SortFunc(r.builders, func(a, b Capacity) int { return cmp.Compare(a.Name, b.Name) })
	known := map[string]int{}
	for i := range r.builders {
		b := &r.builders[i]
		r.slots += max(b.Free, 0)
		name := b.make()
		at, there := known[name]
		if !there {
			at = len(r.of)
			known[name], r.of = at, append(r.of, b)
		}
		r.makes = append(r.makes, at)
	}
	return r
}

// make names what a builder builds, and with what labels: that is the same for many, and
// dear to compare with what an item needs.
func (c Capacity) make() string {
	var s strings.Builder
	for _, words := range [...][]string{c.Arches, c.Emulated, c.Targets, c.Machine.Labels} {
		for _, w := range words {
			s.WriteString(w)
			s.WriteByte(' ')
		}
		s.WriteByte('\n')
	}
	return s.String()
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

// choose takes a slot of the best builder for an item of a class, nil for none.
func (r *room) choose(it *Item, c *class) *Capacity {
	t, known := r.takers[c]
	if !known {
		t = r.takersOf(it)
		r.takers[c] = t
	}
	best := t.best(it)
	if best != nil {
		best.Free--
		r.slots--
	}
	return best
}

// takersOf lists the builders that take an item, and all others of its class.
func (r *room) takersOf(it *Item) *takers {
	n := need{r.does(it), it.Needs.Memory, it.Needs.Disk, sizeOf(it.Learned), len(it.Roots) > 1}
	if t, known := r.alike[n]; known {
		return t
	}
	var fit []*Capacity
	for i, m := range r.makes {
		if b := &r.builders[i]; n.makes[m] != doesNot && (plague.Needs{Memory: n.memory, Disk: n.disk}).Met(b.Machine) {
			fit = append(fit, b)
		}
	}
	t := &takers{builders: r.builders}
	at := 0
	for _, b := range n.size.holding(fit) {
		for &r.builders[at] != b {
			at++
		}
		if b.Free > 0 {
			one := rank{at: at, free: b.Free, slots: b.Slots, emulates: n.makes[r.makes[at]] == emulates}
			if n.any {
				one.rarest = r.rarest[b.Name]
			}
			t.heap = append(t.heap, one)
		}
	}
	heap.Init(&t.heap)
	r.alike[n] = t
	return t
}

// does says of each make of builders whether it does an item.
func (r *room) does(it *Item) string {
	all := make([]byte, len(r.of))
	for i, b := range r.of {
		switch labels := (plague.Needs{Labels: it.Needs.Labels}); {
		case !b.builds(*it) || !labels.Met(b.Machine):
			all[i] = doesNot
		case b.emulates(*it):
			all[i] = emulates
		default:
			all[i] = does
		}
	}
	return string(all)
}
