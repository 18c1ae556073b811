package sched

import (
	"container/heap"
	"slices"
	"time"

	"plague"
)

// Running is an arch job on a builder.
type Running struct {
	Builder string
	Share   Share
	Left    time.Duration // until it ends, as far as one can say
}

// A Forecast says when an item of the queue would get a slot.
type Forecast struct {
	Place int           // 1: the next slot on one of its builders is its
	In    time.Duration // until it begins; 0: now
	Known bool          // false: nobody can build it, or too many go before it
}

// farthest bounds what a forecast looks at: the slots that become free before it.
const farthest = 50_000

// Foresee plays on from now, by the rules of Plan and what each item is said to
// take, until the item has a slot. Nothing new comes, and no builder goes.
func Foresee(q *Queue, id plague.ArchJobID, builders []Capacity, running []Running, now time.Time, takes func(Item) time.Duration) Forecast {
	f := &future{of: id, now: now, takes: takes, can: map[*class]map[string]bool{}, room: newRoom(builders), next: newHeads(q, sharesOf(running), now)}
	it, there := q.Find(id)
	if !there {
		return Forecast{}
	}
	f.rivals = Fitting(it, f.room.builders)
	for _, r := range running {
		heap.Push(&f.busy, slot{r.Left, r.Builder, r.Share})
	}
	for { // as Plan does
		it, class := f.next.first()
		if it == nil {
			break
		}
		b := f.room.choose(it, class)
		if b == nil {
			f.waiting = append(f.waiting, f.next.drop())
			continue
		}
		if f.begin(*it, b.Name, 0) {
			return f.result
		}
		f.next.take()
	}
	for range farthest {
		if f.busy.Len() == 0 || f.free(heap.Pop(&f.busy).(slot)) {
			break
		}
	}
	return f.result
}

// future is the farm as it will be.
type future struct {
	of      plague.ArchJobID
	now     time.Time
	takes   func(Item) time.Duration
	room    *room
	rivals  []Capacity // builders that could take it
	next    *heads
	waiting []head                     // lines that have no slot now
	can     map[*class]map[string]bool // builders that do what is of a class
	busy    slots
	before  int // items that got a slot on one of those builders before it
	result  Forecast
}

// begin gives an item a slot; true: it was the one that is asked about.
func (f *future) begin(it Item, builder string, at time.Duration) bool {
	if slices.ContainsFunc(f.rivals, func(c Capacity) bool { return c.Name == builder }) {
		f.before++
	}
	if it.ID == f.of {
		f.result = Forecast{Place: f.before, In: at, Known: true}
		return true
	}
	heap.Push(&f.busy, slot{at + f.takes(it), builder, it.Share()})
	return false
}

// free lets a slot become free, and gives it to whose turn it is then; true: that
// was the one that is asked about.
func (f *future) free(s slot) bool {
	f.next.busy[s.share]--
	at := slices.IndexFunc(f.room.builders, func(c Capacity) bool { return c.Name == s.builder })
	if at < 0 {
		return false // the builder takes nothing new
	}
	best := -1
	for i := range f.waiting {
		w := &f.waiting[i]
		if !f.does(at, w) {
			continue
		}
		w.busy = f.next.busy[w.first().Share()]
		w.find(f.now.Add(s.ends))
		if best < 0 || w.turn.before(f.waiting[best].turn) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	it := *f.waiting[best].first()
	f.next.busy[it.Share()]++
	if !f.waiting[best].next(f.now.Add(s.ends)) {
		f.waiting = slices.Delete(f.waiting, best, best+1)
	}
	return f.begin(it, s.builder, s.ends)
}

// does says whether the builder at a place does the first item of a line.
func (f *future) does(at int, w *head) bool {
	can, known := f.can[w.line.class]
	if !known {
		can = map[string]bool{}
		for _, c := range fitting(*w.first(), f.room.builders) {
			can[c.Name] = true
		}
		f.can[w.line.class] = can
	}
	return can[f.room.builders[at].Name]
}

func sharesOf(running []Running) map[Share]int {
	n := map[Share]int{}
	for _, r := range running {
		n[r.Share]++
	}
	return n
}

// slot is a busy slot; slots is a heap of them, by when they become free.
type slot struct {
	ends    time.Duration
	builder string
	share   Share
}

type slots []slot

func (s slots) Len() int           { return len(s) }
func (s slots) Less(i, j int) bool { return s[i].ends < s[j].ends }
func (s slots) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slots) Push(x any)        { *s = append(*s, x.(slot)) }

func (s *slots) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}
