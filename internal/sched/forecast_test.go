package sched

import (
	"fmt"
	"testing"
	"time"

	"plague"

	"pgregory.net/rapid"
)

// playOn is Foresee without a thought for time: every slot that becomes free is a plan.
func playOn(items []Item, of plague.ArchJobID, builders []Capacity, running []Running, takes func(Item) time.Duration) (in time.Duration, begins bool) {
	q := queueOf(items...)
	for {
		free := make([]Capacity, len(builders))
		copy(free, builders)
		for _, a := range Plan(q, free, sharesOf(running), noon.Add(in)) {
			if a.ArchJob == of {
				return in, true
			}
			it := items[a.ArchJob-1]
			q.Remove(it.ID)
			running = append(running, Running{a.Builder, it.Share(), in + takes(it)})
			for i := range builders {
				if builders[i].Name == a.Builder {
					builders[i].Free--
				}
			}
		}
		first := -1
		for i, r := range running {
			if first < 0 || r.Left < running[first].Left {
				first = i
			}
		}
		if first < 0 {
			return 0, false
		}
		in = running[first].Left
		for i := range builders {
			if builders[i].Name == running[first].Builder {
				builders[i].Free++
			}
		}
		running = append(running[:first:first], running[first+1:]...)
	}
}

// TestForeseenByPlans: what is foreseen is what the same plans do.
func TestForeseenByPlans(t *testing.T) {
	known := 0
	rapid.Check(t, func(t *rapid.T) {
		var items []Item
		for i := range rapid.IntRange(1, 30).Draw(t, "items") {
			items = append(items, Item{ID: plague.ArchJobID(i + 1), User: rapid.SampledFrom([]string{"ann", "bob", "eve"}).Draw(t, "user"),
				Arch: rapid.SampledFrom([]string{"x86_64", "i686"}).Draw(t, "arch"), Target: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "target"),
				Priority: rapid.IntRange(-1, 1).Draw(t, "priority"), Since: noon,
				Queued: noon.Add(time.Duration(i) * time.Minute), Needs: drawNeeds(t), Learned: drawLearned(t)})
		}
		// No two end at once, whatever they began after: which is first then is nobody's business.
		takes := func(it Item) time.Duration { return time.Duration(it.ID)*time.Hour + 1<<it.ID }
		var builders []Capacity
		var running []Running
		for i := range rapid.IntRange(1, 3).Draw(t, "builders") {
			b := Capacity{Name: fmt.Sprint("b", i), Arches: []string{"x86_64", "i686"}[:rapid.IntRange(1, 2).Draw(t, "arches")],
				Targets: []string{"a", "b"}[:rapid.IntRange(0, 2).Draw(t, "targets")], Slots: rapid.IntRange(1, 3).Draw(t, "slots")}
			b.Free = rapid.IntRange(0, b.Slots).Draw(t, "free")
			for range b.Slots - b.Free {
				left := time.Duration(rapid.IntRange(0, 9).Draw(t, "left"))*time.Hour + 1<<(31+len(running))
				running = append(running, Running{b.Name, ShareOf(rapid.SampledFrom([]string{"ann", "joe"}).Draw(t, "whose"), rapid.IntRange(-1, 0).Draw(t, "rank")), left})
			}
			builders = append(builders, b)
		}
		of := items[rapid.IntRange(0, len(items)-1).Draw(t, "of")]
		got := Foresee(queueOf(items...), of.ID, builders, running, noon, takes)
		in, begins := playOn(items, of.ID, append([]Capacity(nil), builders...), append([]Running(nil), running...), takes)
		if got.Known != begins || got.In != in && begins {
			t.Fatalf("foreseen %+v, and it begins in %s (%v)", got, in, begins)
		}
		if got.Known {
			known++
			if got.Place < 1 || got.Place > len(items) {
				t.Fatalf("place %d of %d", got.Place, len(items))
			}
		}
	})
	if known == 0 {
		t.Error("nothing was foreseen at all")
	}
}

// TestFairToOthers: whatever one user asks for, the next one's single job has the
// next slot.
func TestFairToOthers(t *testing.T) {
	var q Queue
	for i := range 20_000 {
		q.Add(Item{ID: plague.ArchJobID(i + 1), User: "ann", Arch: "x86_64", Target: "a"})
	}
	q.Add(Item{ID: 20_001, User: "bob", Arch: "x86_64", Target: "a"})
	builders := []Capacity{{Name: "b1", Arches: []string{"x86_64"}, Slots: 2}}
	ann := Share{User: "ann"}
	running := []Running{{"b1", ann, time.Hour}, {"b1", ann, 2 * time.Hour}}
	takes := func(Item) time.Duration { return time.Hour }
	if got, want := Foresee(&q, 20_001, builders, running, noon, takes), (Forecast{1, time.Hour, true}); got != want {
		t.Errorf("the other one's job: %+v, want %+v", got, want)
	}
	if got := Foresee(&q, 20_000, builders, running, noon, takes); got.Place != 20_001 || !got.Known {
		t.Errorf("the last of his: %+v", got)
	}
	if got := Foresee(&q, 20_002, builders, running, noon, takes); got.Known {
		t.Errorf("of one that is not there: %+v", got)
	}
}

// BenchmarkForesee is the answer to why for the last of a mass rebuild.
func BenchmarkForesee(b *testing.B) {
	var q Queue
	for i := range 20_000 {
		q.Add(Item{ID: plague.ArchJobID(i + 1), User: fmt.Sprint("user", i%50), Arch: "x86_64", Target: "a"})
	}
	var bs []Capacity
	var running []Running
	for i := range 100 {
		bs = append(bs, Capacity{Name: fmt.Sprintf("b%04d", i), Arches: []string{"x86_64"}, Slots: 4})
		for range 4 {
			running = append(running, Running{bs[i].Name, Share{User: "user1"}, time.Minute})
		}
	}
	for b.Loop() {
		if !Foresee(&q, 20_000, bs, running, noon, func(it Item) time.Duration { return time.Minute + time.Duration(it.ID) }).Known {
			b.Fatal("not foreseen")
		}
	}
}
