package sched

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"plague"
)

// crowd is 100,000 waiting arch jobs, as users and targets have them.
type crowd struct {
	users, targets int
	learned        bool          // half of what a distribution has takes less than three minutes and 600 MB; the tails are long
	picky          bool          // of ten, one needs what no builder with a slot has, one a label, one may be noarch; one in three had trouble
	background     time.Duration // that they have waited for with a low priority; 0: with none
}

func (c crowd) queue() *Queue {
	var q Queue
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range 100_000 {
		it := Item{ID: plague.ArchJobID(i + 1), User: fmt.Sprint("user", i%c.users), Arch: "x86_64", Target: fmt.Sprintf("lab-%d-extras", i/c.users%c.targets), Since: noon}
		if c.learned {
			it.Learned = plague.Learned{Took: time.Duration(3 * math.Exp(1.2*dice.NormFloat64()) * float64(time.Minute)),
				Memory: int64(6e8 * math.Exp(dice.NormFloat64())), Disk: int64(8e8 * math.Exp(1.2*dice.NormFloat64()))}
		}
		if c.picky {
			switch dice.IntN(10) {
			case 0:
				it.Needs.Memory = 1 << 40
			case 1:
				it.Needs.Labels = []string{"ssd"}
			case 2:
				it.Arch, it.Roots = "noarch", []string{"i686", "x86_64"}
			}
			if dice.IntN(3) == 0 {
				it.Avoid = fmt.Sprintf("b%04d", dice.IntN(1000))
				it.Tried = []string{it.Avoid, fmt.Sprintf("b%04d", dice.IntN(1000))}
			}
		}
		if c.background > 0 {
			it.Priority, it.Since = -10, noon.Add(-c.background)
		}
		q.Add(it)
	}
	return &q
}

// farm is 1,000 builders of 4 slots.
func farm(free func(i int) int) (bs []Capacity) {
	for i := range 1000 {
		b := Capacity{Name: fmt.Sprintf("b%04d", i), Arches: []string{"x86_64"}, Slots: 4, Free: free(i),
			Machine: plague.Machine{Memory: 8 << 30 << (i % 3), FreeDisk: int64(20+i%100) << 30}}
		if i%4 == 0 {
			b.Machine.Labels = []string{"ssd"}
		}
		if i%10 == 0 {
			b.Arches = []string{"x86_64", "i686"}
		}
		bs = append(bs, b)
	}
	return bs
}

// BenchmarkPlan is one plan over 100,000 waiting arch jobs and 1,000 builders: as they are
// in the middle of the day, and after everything stood still.
func BenchmarkPlan(b *testing.B) {
	half, all := func(i int) int { return i % 2 }, func(int) int { return 4 }
	for _, tt := range []struct {
		name string
		crowd
		free func(i int) int // slots of a builder
	}{
		{"50 users, 500 slots", crowd{users: 50, targets: 1}, half},
		{"50 users, 500 slots, learned", crowd{users: 50, targets: 1, learned: true}, half},
		{"500 users and 20 targets, 500 slots", crowd{users: 500, targets: 20}, half},
		{"500 users and 20 targets, 500 slots, learned", crowd{users: 500, targets: 20, learned: true}, half},
		{"500 users and 20 targets, 500 slots, picky", crowd{users: 500, targets: 20, learned: true, picky: true}, half},
		{"500 users and 20 targets, 500 slots, picky, background", crowd{users: 500, targets: 20, learned: true, picky: true, background: time.Hour}, half},
		{"500 users and 20 targets, 500 slots, picky, waited long", crowd{users: 500, targets: 20, learned: true, picky: true, background: 2 * Patience}, half},
		{"500 users and 20 targets, 4000 slots", crowd{users: 500, targets: 20}, all},
		{"500 users and 20 targets, 4000 slots, picky", crowd{users: 500, targets: 20, learned: true, picky: true}, all},
		{"500 users and 20 targets, slots on one builder that few may use", crowd{users: 500, targets: 20, learned: true}, func(i int) int { return max(0, 1-i) }},
	} {
		b.Run(tt.name, func(b *testing.B) {
			q, bs := tt.queue(), farm(tt.free)
			for b.Loop() {
				Plan(q, bs, nil, noon)
			}
		})
	}
}
