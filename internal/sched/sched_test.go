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
	b1 := Capacity{Name: "b1", Arches: []string{"x86_64"}, Slots: 2, Free: 2}
	b2 := Capacity{Name: "b2", Arches: []string{"x86_64", "i686"}, Slots: 2, Free: 2}
	other := Capacity{Name: "b3", Arches: []string{"x86_64"}, Targets: []string{"lab-13-extras"}, Slots: 2, Free: 2}
	s390x := Capacity{Name: "s1", Arches: []string{"s390x", "x86_64"}, Slots: 4, Free: 4}
	anywhere := func(id int) Item {
		return Item{ID: plague.ArchJobID(id), User: "ann", Arch: "noarch", Target: "lab-12-extras", Roots: []string{"s390x", "x86_64"}}
	}
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
func TestPlanProperties(t *testing.T) {
	arches := []string{"x86_64", "i686", "noarch"}
	targets := []string{"a", "b"}
	rapid.Check(t, func(t *rapid.T) {
		var items []Item
		for i := range rapid.IntRange(0, 40).Draw(t, "items") {
			items = append(items, Item{
				ID: plague.ArchJobID(i + 1), User: rapid.SampledFrom([]string{"ann", "bob", "eve"}).Draw(t, "user"),
				Arch: rapid.SampledFrom(arches).Draw(t, "arch"), Target: rapid.SampledFrom(targets).Draw(t, "target"),
				Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
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
				Targets: targets[:rapid.IntRange(0, 2).Draw(t, "targets")], Slots: slots, Free: rapid.IntRange(0, slots).Draw(t, "free"),
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
			if !caps[a.Builder].fits(it) {
				t.Fatalf("%+v went to %+v", it, caps[a.Builder])
			}
			if free[a.Builder]--; free[a.Builder] < 0 {
				t.Fatalf("%s got more than it has room for", a.Builder)
			}
			left.Remove(a.ArchJob)
		}
		for _, id := range left.IDs() {
			for _, b := range builders {
				if free[b.Name] > 0 && b.fits(items[id-1]) {
					t.Fatalf("arch job %d waits while %s has room", id, b.Name)
				}
			}
		}
	})
}

func shuffled(t *rapid.T, items []Item) []Item {
	return rapid.Permutation(items).Draw(t, "order")
}

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
			b := -1
			for j, c := range free {
				if c.Free > 0 && c.fits(it) && (b < 0 || rarest.better(&c, &free[b], it)) {
					b = j
				}
			}
			if b >= 0 && (best < 0 || cmp.Or(cmp.Compare(left[best].rank(noon), it.rank(noon)), cmp.Compare(busy[it.Share()], busy[left[best].Share()]),
				cmp.Compare(it.ID, left[best].ID)) < 0) {
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

// TestPlanByTheRules: the heap and what it remembers change no plan.
func TestPlanByTheRules(t *testing.T) {
	users, targets := []string{"ann", "bob", "eve", "joe"}, []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		var items []Item
		running := map[Share]int{}
		old := rapid.IntRange(0, 60).Draw(t, "old")
		for i := range rapid.IntRange(0, 60).Draw(t, "items") {
			it := Item{ID: plague.ArchJobID(i + 1), User: rapid.SampledFrom(users).Draw(t, "user"), Arch: rapid.SampledFrom([]string{"x86_64", "noarch"}).Draw(t, "arch"),
				Target: rapid.SampledFrom(targets).Draw(t, "target"), Priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
				Since: noon,
				Avoid: rapid.SampledFrom([]string{"", "", "b0", "b1"}).Draw(t, "avoid")}
			if it.Arch == "noarch" {
				it.Roots = rapid.SampledFrom([][]string{{"x86_64"}, {"i686", "s390x"}, {"i686", "x86_64"}}).Draw(t, "roots")
			}
			if i < old { // ids follow age
				it.Since = noon.Add(-Patience)
			}
			items = append(items, it)
		}
		for _, u := range users {
			for _, background := range []bool{false, true} {
				running[Share{u, background}] = rapid.IntRange(0, 3).Draw(t, "running")
			}
		}
		var builders []Capacity
		for i := range rapid.IntRange(0, 6).Draw(t, "builders") {
			slots := rapid.IntRange(1, 5).Draw(t, "slots")
			builders = append(builders, Capacity{Name: fmt.Sprint("b", i), Arches: []string{"x86_64", "i686"}[:rapid.IntRange(1, 2).Draw(t, "arches")],
				Targets: targets[:rapid.IntRange(0, 3).Draw(t, "targets")], Slots: slots, Free: rapid.IntRange(-1, slots).Draw(t, "free")})
		}
		q := queueOf(shuffled(t, items)...)
		if got, want := Plan(q, builders, running, noon), byTheRules(items, builders, running); !slices.Equal(got, want) {
			t.Fatalf("the plan is %v, the rules say %v", got, want)
		}
		for _, it := range shuffled(t, items) { // from any place of its line
			q.Remove(it.ID)
			if q.Has(it.ID) {
				t.Fatalf("%d is still there", it.ID)
			}
		}
		if q.Len() != 0 || len(q.lines) != 0 {
			t.Fatalf("%d items and %d lines are left", q.Len(), len(q.lines))
		}
	})
}

// BenchmarkPlan is one plan over 100,000 waiting arch jobs and 1,000 builders:
// as they are in the middle of the day, and after everything stood still.
func BenchmarkPlan(b *testing.B) {
	for _, tt := range []struct {
		name                 string
		users, targets, free int // free: per builder, of 4 slots
	}{{"50 users, 500 slots", 50, 1, 0}, {"500 users and 20 targets, 500 slots", 500, 20, 0}, {"500 users and 20 targets, 4000 slots", 500, 20, 4}} {
		b.Run(tt.name, func(b *testing.B) {
			var q Queue
			for i := range 100_000 {
				q.Add(Item{ID: plague.ArchJobID(i + 1), User: fmt.Sprint("user", i%tt.users), Arch: "x86_64", Target: fmt.Sprintf("lab-%d-extras", i/tt.users%tt.targets)})
			}
			var bs []Capacity
			for i := range 1000 {
				bs = append(bs, Capacity{Name: fmt.Sprintf("b%04d", i), Arches: []string{"x86_64"}, Slots: 4, Free: max(tt.free, i%2)})
			}
			for b.Loop() {
				Plan(&q, bs, nil, noon)
			}
		})
	}
}
