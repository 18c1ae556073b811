package sched

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"plague"

	"pgregory.net/rapid"
)

func queueOf(items ...Item) *Queue {
	var q Queue
	for _, it := range items {
		q.Add(it)
	}
	return &q
}

// noon is when plans of the tests are made.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestPlan(t *testing.T) {
	x := func(id int, user string) Item {
		return Item{ID: plague.ArchJobID(id), User: user, Arch: "x86_64", Target: "lab-12-extras"}
	}
	urgent := x(9, "eve")
	urgent.Priority = 5
	mass, old := x(1, "ann"), x(1, "ann")
	mass.Priority, mass.Since = -10, noon.Add(1-Patience)
	old.Priority, old.Since = -10, noon.Add(-Patience)
	one := []Capacity{{Name: "b1", Arches: []string{"x86_64"}, Slots: 1, Free: 1}}
	lost := x(4, "ann")
	lost.Avoid = "b1"
	twice := lost
	twice.Tried = []string{"b1", "b2"}
	b1 := Capacity{Name: "b1", Arches: []string{"x86_64"}, Slots: 2, Free: 2}
	b2 := Capacity{Name: "b2", Arches: []string{"x86_64", "i686"}, Slots: 2, Free: 2}
	other := Capacity{Name: "b3", Arches: []string{"x86_64"}, Targets: []string{"lab-13-extras"}, Slots: 2, Free: 2}
	s390x := Capacity{Name: "s1", Arches: []string{"s390x", "x86_64"}, Slots: 4, Free: 4}
	anywhere := func(id int) Item {
		return Item{ID: plague.ArchJobID(id), User: "ann", Arch: "noarch", Target: "lab-12-extras", Roots: []string{"s390x", "x86_64"}}
	}
	took := func(id int, user string, late, span time.Duration) Item {
		it := x(id, user)
		it.Queued, it.Learned.Took = noon.Add(late), span
		return it
	}
	used := func(id int, memory, disk int64) Item {
		it := x(id, "ann")
		it.Learned = plague.Learned{Memory: memory, Disk: disk}
		return it
	}
	small := Capacity{Name: "a1", Arches: []string{"x86_64"}, Slots: 8, Free: 1, Machine: plague.Machine{Memory: 8 << 30, FreeDisk: 50 << 30}}
	large := Capacity{Name: "l1", Arches: []string{"x86_64"}, Slots: 2, Free: 1, Machine: plague.Machine{Memory: 31 << 29, FreeDisk: 99 << 30}}
	picky := func(id int) Item {
		it := x(id, "ann")
		it.Needs = plague.Needs{Labels: []string{"ssd"}, Memory: 8 << 30}
		return it
	}
	ssd := Capacity{Name: "s9", Arches: []string{"x86_64"}, Slots: 1, Free: 1, Machine: plague.Machine{Memory: 8 << 30, Labels: []string{"big", "ssd"}}}
	ppc := anywhere(1)
	ppc.Roots = []string{"ppc"}
	for _, tt := range []struct {
		name     string
		items    []Item
		builders []Capacity
		running  map[Share]int
		want     []Assignment
	}{
		{"nothing to do", nil, []Capacity{b1}, nil, nil},
		{"nobody to do it", []Item{x(1, "ann")}, nil, nil, nil},
		{"the oldest first, spread over builders", []Item{x(2, "ann"), x(1, "ann")}, []Capacity{b2, b1}, nil, []Assignment{{1, "b1"}, {2, "b2"}}},
		{"the user who runs least first", []Item{x(1, "ann"), x(2, "bob")}, one, map[Share]int{{"ann", false}: 1}, []Assignment{{2, "b1"}}},
		{"priority before fairness", []Item{x(1, "ann"), urgent}, one, map[Share]int{{"eve", false}: 3}, []Assignment{{9, "b1"}}},
		{"background jobs let others go first", []Item{mass, x(2, "bob")}, one, map[Share]int{{"bob", false}: 3}, []Assignment{{2, "b1"}}},
		{"their own user's, too, who is not behind for them", []Item{mass, x(2, "bob"), x(3, "ann")}, one,
			map[Share]int{{"ann", true}: 8, {"bob", false}: 1}, []Assignment{{3, "b1"}}},
		{"not for ever", []Item{old, x(2, "bob")}, one, nil, []Assignment{{1, "b1"}}},
		{"another target's builder is none", []Item{x(1, "ann")}, []Capacity{other}, nil, nil},
		{"avoids the builder that lost it", []Item{lost}, []Capacity{b1, b2}, nil, []Assignment{{4, "b2"}}},
		{"and those before it", []Item{twice}, []Capacity{b1, b2, {Name: "b9", Arches: []string{"x86_64"}, Slots: 9, Free: 1}}, nil, []Assignment{{4, "b9"}}},
		{"if they are all, the one that did longer ago", []Item{twice}, []Capacity{b1, b2}, nil, []Assignment{{4, "b2"}}},
		{"unless there is no other", []Item{lost}, []Capacity{b1}, nil, []Assignment{{4, "b1"}}},
		{"noarch goes where a buildroot of the target can be", []Item{{ID: 1, Arch: "noarch", Roots: []string{"s390x", "i686"}, Target: "lab-12-extras"}},
			[]Capacity{b1, b2}, nil, []Assignment{{1, "b2"}}},
		{"noarch leaves the builder of a rare arch alone", []Item{anywhere(1), anywhere(2), anywhere(3)},
			[]Capacity{s390x, b1, {Name: "b4", Arches: []string{"x86_64"}, Slots: 4, Free: 1}}, nil, []Assignment{{1, "b1"}, {2, "b1"}, {3, "b4"}}},
		{"unless that alone is free", []Item{anywhere(1)}, []Capacity{s390x, {Name: "b1", Arches: []string{"x86_64"}, Slots: 4}}, nil, []Assignment{{1, "s1"}}},
		{"what a builder's own processor runs is not emulated", []Item{x(1, "ann"), x(2, "ann")},
			[]Capacity{{Name: "a1", Arches: []string{"x86_64"}, Emulated: []string{"x86_64"}, Slots: 9, Free: 9}, {Name: "b1", Arches: []string{"x86_64"}, Slots: 9, Free: 1}},
			nil, []Assignment{{1, "b1"}, {2, "a1"}}},
		{"nor is noarch", []Item{anywhere(1), anywhere(2), anywhere(3)},
			[]Capacity{{Name: "a1", Arches: []string{"s390x"}, Emulated: []string{"s390x"}, Slots: 9, Free: 1}, {Name: "b1", Arches: []string{"x86_64", "s390x"}, Emulated: []string{"s390x"}, Slots: 2, Free: 2}},
			nil, []Assignment{{1, "b1"}, {2, "b1"}, {3, "a1"}}},
		{"noarch that no free builder may build does not hold up other noarch", []Item{ppc, anywhere(2)}, []Capacity{b1}, nil, []Assignment{{2, "b1"}}},
		{"what a target's file asks for is had, by the next in turn, too", []Item{picky(1), x(2, "ann"), picky(3)}, []Capacity{ssd, {Name: "a1", Arches: []string{"x86_64"}, Slots: 9, Free: 1}}, nil,
			[]Assignment{{1, "s9"}, {2, "a1"}}},
		{"or it waits, and holds up nobody", []Item{picky(1), x(2, "ann")}, []Capacity{b1}, nil, []Assignment{{2, "b1"}}},
		{"of two that came together the longer goes first", []Item{took(1, "ann", 0, time.Minute), took(2, "ann", 0, time.Hour)}, one, nil, []Assignment{{2, "b1"}}},
		{"whoever's they are", []Item{took(1, "ann", 0, time.Minute), took(2, "bob", time.Minute, time.Hour)}, one, nil, []Assignment{{2, "b1"}}},
		{"but nothing waits behind what came much later", []Item{took(1, "ann", 0, time.Minute), took(2, "ann", time.Hour, time.Hour)}, one, nil, []Assignment{{1, "b1"}}},
		{"priority and fairness come first", []Item{took(1, "ann", 0, 0), took(2, "bob", 0, time.Hour)}, one, map[Share]int{{"bob", false}: 1}, []Assignment{{1, "b1"}}},
		{"what was large goes to who holds it", []Item{used(1, 10<<30, 0), used(2, 10<<30, 0), used(3, 1<<30, 0)}, []Capacity{small, large}, nil, []Assignment{{1, "l1"}, {3, "a1"}}},
		{"by its disk, too", []Item{used(1, 0, 60<<30)}, []Capacity{small, large}, nil, []Assignment{{1, "l1"}}},
		{"if nobody holds it, to the largest", []Item{used(1, 60<<30, 0), used(2, 0, 1<<40), used(3, 0, 0)}, []Capacity{small, large}, nil, []Assignment{{1, "l1"}, {3, "a1"}}},
		{"who does not say what he has may hold it", []Item{used(1, 60<<30, 60<<30)}, []Capacity{b1}, nil, []Assignment{{1, "b1"}}},
		{"a full builder takes nothing", []Item{x(1, "ann")}, []Capacity{{Name: "b1", Arches: []string{"x86_64"}, Slots: 1}}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Plan(queueOf(tt.items...), tt.builders, tt.running, noon); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestPlanProperties holds for any queue and builders: no slot twice, no
// wrong arch or target, nothing left while a slot that fits is free, and the
// same plan again (invariant 7).
// Results that nobody fetches take slots in the end, those of a small builder too.
func TestFree(t *testing.T) {
	for _, tt := range []struct{ slots, used, results, want int }{
		{1, 0, 0, 1}, {1, 0, 2, 1}, {1, 1, 2, 0}, {1, 0, 3, 0}, {1, 0, 9, -6},
		{4, 0, 0, 4}, {4, 0, 4, 4}, {4, 1, 4, 3}, {4, 0, 6, 2}, {4, 2, 6, 0}, {4, 0, 8, 0},
		{2, 3, 0, -1}, {0, 0, 0, 0}, {0, 0, 3, -1},
	} {
		if got := Free(tt.slots, tt.used, tt.results); got != tt.want {
			t.Errorf("%d slots, %d used, %d results: %d free, not %d", tt.slots, tt.used, tt.results, got, tt.want)
		}
	}
}

func TestPlanProperties(t *testing.T) {
	arches := []string{"x86_64", "i686", "noarch"}
	targets := []string{"a", "b"}
	rapid.Check(t, func(t *rapid.T) {
		var items []Item
		for i := range rapid.IntRange(0, 40).Draw(t, "items") {
			items = append(items, Item{
				ID: plague.ArchJobID(i + 1), User: rapid.SampledFrom([]string{"ann", "bob", "eve"}).Draw(t, "user"),
				Arch: rapid.SampledFrom(arches).Draw(t, "arch"), Target: rapid.SampledFrom(targets).Draw(t, "target"),
				Priority: rapid.IntRange(0, 2).Draw(t, "priority"), Needs: drawNeeds(t), Learned: drawLearned(t), Queued: noon.Add(time.Duration(i) * time.Minute),
			})
			if it := &items[i]; it.Arch == "noarch" {
				it.Roots = rapid.SampledFrom([][]string{{"x86_64"}, {"i686", "s390x"}, {"i686", "x86_64"}}).Draw(t, "roots")
			}
		}
		var builders []Capacity
		for i := range rapid.IntRange(0, 5).Draw(t, "builders") {
			slots := rapid.IntRange(1, 4).Draw(t, "slots")
			builders = append(builders, Capacity{
				Name: fmt.Sprint("b", i), Arches: arches[:rapid.IntRange(1, 2).Draw(t, "arches")],
				Targets: targets[:rapid.IntRange(0, 2).Draw(t, "targets")], Slots: slots, Free: rapid.IntRange(0, slots).Draw(t, "free"), Machine: drawMachine(t),
			})
		}
		plan := Plan(queueOf(items...), builders, nil, noon)
		if again := Plan(queueOf(shuffled(t, items)...), builders, nil, noon); !slices.Equal(plan, again) {
			t.Fatalf("two plans from the same state: %v and %v", plan, again)
		}
		free, left := map[string]int{}, queueOf(items...)
		caps := map[string]Capacity{}
		for _, b := range builders {
			free[b.Name], caps[b.Name] = b.Free, b
		}
		for _, a := range plan {
			if !left.Has(a.ArchJob) {
				t.Fatalf("arch job %d assigned twice", a.ArchJob)
			}
			it := items[a.ArchJob-1]
			if !slices.ContainsFunc(Fitting(it, builders), func(c Capacity) bool { return c.Name == a.Builder }) {
				t.Fatalf("%+v went to %+v", it, caps[a.Builder])
			}
			if free[a.Builder]--; free[a.Builder] < 0 {
				t.Fatalf("%s got more than it has room for", a.Builder)
			}
			left.Remove(a.ArchJob)
		}
		for _, id := range left.IDs() {
			for _, b := range Fitting(items[id-1], builders) {
				if free[b.Name] > 0 {
					t.Fatalf("arch job %d waits while %s has room", id, b.Name)
				}
			}
		}
	})
}

func shuffled(t *rapid.T, items []Item) []Item {
	return rapid.Permutation(items).Draw(t, "order")
}
