package sched

import (
	"cmp"
	"container/heap"
	"maps"
	"time"
)

// heads is a heap of the first item of each line that a plan has not taken yet.
// What a user runs grows while the plan is made, so a place in the heap may be
// too good, never too bad: the first is put in its place before it is believed.
type heads struct {
	all  []head
	busy map[Share]int // what each user runs, with the plan so far
	now  time.Time
}

type head struct {
	items []Item // what is left of a line
	rank  int    // of its first
	busy  int    // what its user ran when it got its place
}

func newHeads(q *Queue, running map[Share]int, now time.Time) *heads {
	h := &heads{busy: maps.Clone(running), now: now}
	if h.busy == nil {
		h.busy = map[Share]int{}
	}
	for _, l := range q.lines {
		h.all = append(h.all, h.head(l.items))
	}
	heap.Init(h)
	return h
}

func (h *heads) head(items []Item) head {
	return head{items, items[0].rank(h.now), h.busy[items[0].Share()]}
}

// first gives the item whose turn it is.
func (h *heads) first() Item {
	for {
		top := &h.all[0]
		now := h.busy[top.items[0].Share()]
		if top.busy == now {
			return top.items[0]
		}
		top.busy = now
		heap.Fix(h, 0)
	}
}

// take moves the first item into the plan.
func (h *heads) take() {
	top := &h.all[0]
	h.busy[top.items[0].Share()]++
	if len(top.items) == 1 {
		heap.Pop(h)
		return
	}
	*top = h.head(top.items[1:])
	heap.Fix(h, 0)
}

// drop leaves the line of the first item out of the plan.
func (h *heads) drop() head { return heap.Pop(h).(head) }

// Len, Less, Swap, Push and Pop implement heap.Interface. Ids break ties, so
// that the order is the same whatever the order of the lines.

func (h *heads) Len() int { return len(h.all) }

func (h *heads) Less(i, j int) bool { return goesBefore(&h.all[i], &h.all[j]) }

// goesBefore is the order of the farm: the higher priority, then the user who runs
// less, then the older.
func goesBefore(a, b *head) bool {
	return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.busy, b.busy), cmp.Compare(a.items[0].ID, b.items[0].ID)) < 0
}

func (h *heads) Swap(i, j int) { h.all[i], h.all[j] = h.all[j], h.all[i] }

func (h *heads) Push(x any) { h.all = append(h.all, x.(head)) }

func (h *heads) Pop() any {
	last := h.all[len(h.all)-1]
	h.all = h.all[:len(h.all)-1]
	return last
}
