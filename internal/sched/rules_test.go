package sched

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"plague"

	"pgregory.net/rapid"
)

// byTheRules is Plan as the rules have it, without a thought for time: whoever
// is first among all heads that fit somewhere gets the best builder.
func byTheRules(items []Item, builders []Capacity, running map[Share]int) (plan []Assignment) {
	left, busy := slices.Clone(items), map[Share]int{}
	free, rarest := slices.Clone(builders), rarityOf(builders)
	slices.SortFunc(free, func(a, b Capacity) int { return cmp.Compare(a.Name, b.Name) })
	maps.Copy(busy, running)
	for {
		best, on := -1, -1
		for i, it := range left {
			b, fit := -1, Fitting(it, free)
			for j, c := range free {
				if c.Free > 0 && slices.ContainsFunc(fit, func(f Capacity) bool { return f.Name == c.Name }) && (b < 0 || betterBy(rarest, &c, &free[b], it)) {
					b = j
				}
			}
			if b >= 0 && (best < 0 || cmp.Or(cmp.Compare(left[best].rank(noon), it.rank(noon)), cmp.Compare(busy[it.Share()], busy[left[best].Share()]),
				cmp.Compare(it.due(), left[best].due()), cmp.Compare(it.ID, left[best].ID)) < 0) {
				best, on = i, b
			}
		}
		if best < 0 {
			return plan
		}
		plan = append(plan, Assignment{left[best].ID, free[on].Name})
		free[on].Free--
		busy[left[best].Share()]++
		left = slices.Delete(left, best, best+1)
	}
}

// betterBy says whether a is to be taken before b for an item: the rules in their order.
func betterBy(rarest rarity, a, b *Capacity, it Item) bool {
	if it.Avoid != "" && (a.Name == it.Avoid) != (b.Name == it.Avoid) {
		return b.Name == it.Avoid
	}
	if x, y := slices.Contains(it.Tried, a.Name), slices.Contains(it.Tried, b.Name); x != y {
		return y
	}
	if x, y := a.emulates(it), b.emulates(it); x != y {
		return y
	}
	if len(it.Roots) > 1 && rarest[a.Name] != rarest[b.Name] {
		return rarest[a.Name] > rarest[b.Name]
	}
	return a.Free*b.Slots > b.Free*a.Slots // of the same share the first by name, being sorted
}

// long draws from a long tail: half of all are below least, and some a thousand times that.
func long(t *rapid.T, least int64, label string) int64 {
	n := least
	for rapid.IntRange(0, 1).Draw(t, label) == 1 && n < least<<10 {
		n *= 2
	}
	return n - n/int64(rapid.IntRange(3, 9).Draw(t, label+", less a part"))
}

func drawItem(t *rapid.T, id int, old bool) Item {
	it := Item{ID: plague.ArchJobID(id), User: rapid.SampledFrom([]string{"ann", "bob", "eve", "joe"}).Draw(t, "user"),
		Arch:   rapid.SampledFrom([]string{"x86_64", "i686", "noarch"}).Draw(t, "arch"),
		Target: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "target"), Priority: rapid.IntRange(-2, 1).Draw(t, "priority"),
		Since: noon, Needs: drawNeeds(t), Learned: drawLearned(t), Queued: noon.Add(time.Duration(id) * time.Minute),
		Avoid: rapid.SampledFrom([]string{"", "", "b0", "b1"}).Draw(t, "avoid"),
		Tried: rapid.SampledFrom([][]string{nil, nil, {"b0", "b1"}, {"b2", "b3"}}).Draw(t, "tried")}
	if rapid.Bool().Draw(t, "of the tail") {
		it.Learned = plague.Learned{Took: time.Duration(long(t, int64(time.Minute), "took")), Memory: long(t, 600<<20, "used memory"), Disk: long(t, 800<<20, "used disk")}
	}
	if it.Arch == "noarch" {
		it.Roots = rapid.SampledFrom([][]string{{"x86_64"}, {"i686", "s390x"}, {"i686", "x86_64"}}).Draw(t, "roots")
	}
	if old { // ids follow age
		it.Since = noon.Add(-Patience)
	}
	return it
}

func drawBuilders(t *rapid.T) (builders []Capacity) {
	for i := range rapid.IntRange(0, 8).Draw(t, "builders") {
		slots := rapid.IntRange(1, 5).Draw(t, "slots")
		b := Capacity{Name: fmt.Sprint("b", i), Arches: []string{"x86_64", "i686"}[:rapid.IntRange(1, 2).Draw(t, "arches")],
			Targets: []string{"a", "b", "c"}[:rapid.IntRange(0, 3).Draw(t, "targets")], Slots: slots, Free: rapid.IntRange(-1, slots).Draw(t, "free"), Machine: drawMachine(t)}
		b.Emulated = b.Arches[:rapid.IntRange(0, len(b.Arches)).Draw(t, "emulated")]
		if rapid.Bool().Draw(t, "of the tail") {
			b.Machine.Memory, b.Machine.FreeDisk = long(t, 8<<30, "memory"), long(t, 20<<30, "disk")
		}
		builders = append(builders, b)
	}
	return rapid.Permutation(builders).Draw(t, "order of builders")
}

// TestPlanByTheRules: the heaps, the classes and what the queue keeps in order change no
// plan, also of a queue that plans, new items and items that go have advanced.
func TestPlanByTheRules(t *testing.T) {
	planned := 0
	rapid.Check(t, func(t *rapid.T) {
		items, gone := map[plague.ArchJobID]Item{}, []plague.ArchJobID{}
		running := map[Share]int{}
		for _, u := range []string{"ann", "bob", "eve", "joe"} {
			for _, background := range []bool{false, true} {
				running[Share{u, background}] = rapid.IntRange(0, 3).Draw(t, "running")
			}
		}
		var q Queue
		old := rapid.IntRange(0, 60).Draw(t, "old")
		for next := 1; next < 60; {
			var fresh []Item
			for range rapid.IntRange(1, 40).Draw(t, "items") {
				fresh = append(fresh, drawItem(t, next, next <= old))
				next++
			}
			for _, it := range rapid.Permutation(fresh).Draw(t, "order") {
				q.Add(it)
				items[it.ID] = it
			}
			builders := drawBuilders(t)
			got, want := Plan(&q, builders, running, noon), byTheRules(slices.Collect(maps.Values(items)), builders, running)
			if !slices.Equal(got, want) {
				t.Fatalf("the plan is %v, the rules say %v", got, want)
			}
			planned += len(got)
			for _, a := range got {
				gone = append(gone, a.ArchJob)
			}
			for _, id := range q.IDs() {
				if rapid.IntRange(0, 9).Draw(t, "killed") == 0 {
					gone = append(gone, id)
				}
			}
			for _, id := range gone {
				q.Remove(id)
				delete(items, id)
			}
		}
		for _, id := range rapid.Permutation(q.IDs()).Draw(t, "last") { // from any place of its line
			q.Remove(id)
			if q.Has(id) {
				t.Fatalf("%d is still there", id)
			}
		}
		if q.Len() != 0 || len(q.lines)+len(q.askers)+len(q.classes) != 0 {
			t.Fatalf("%d items and %d lines are left", q.Len(), len(q.lines))
		}
	})
	if planned == 0 {
		t.Error("nothing was planned at all")
	}
}
