package sched

import (
	"cmp"
	"container/heap"
	"maps"
)

// heads is a heap of the first item of each line that a plan has not taken yet.
// What a user runs grows while the plan is made, so a place in the heap may be
// too good, never too bad: the first is put in its place before it is believed.
type heads struct {
	all  []head
	busy map[string]int // what each user runs, with the plan so far
}

type head struct {
	items []Item // what is left of a line
	busy  int    // what its user ran when it got its place
}

func newHeads(q *Queue, running map[string]int) *heads {
	h := &heads{busy: maps.Clone(running)}
	if h.busy == nil {
		h.busy = map[string]int{}
	}
	for _, users := range q.lines {
		for user, l := range users {
			h.all = append(h.all, head{l.items, h.busy[user]})
		}
	}
	heap.Init(h)
	return h
}

// first gives the item whose turn it is.
func (h *heads) first() Item {
	for {
		top := &h.all[0]
		now := h.busy[top.items[0].User]
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
	h.busy[top.items[0].User]++
	if top.items = top.items[1:]; len(top.items) == 0 {
		h.drop()
		return
	}
	heap.Fix(h, 0)
}

// drop leaves the line of the first item out of the plan.
func (h *heads) drop() { heap.Pop(h) }

// Len, Less, Swap, Push and Pop implement heap.Interface. Ids break ties, so
// that the order is the same whatever the order of the lines.

func (h *heads) Len() int { return len(h.all) }

func (h *heads) Less(i, j int) bool {
	a, b := &h.all[i], &h.all[j]
	x, y := &a.items[0], &b.items[0]
	return cmp.Or(cmp.Compare(y.Priority, x.Priority), cmp.Compare(a.busy, b.busy), cmp.Compare(x.ID, y.ID)) < 0
}

func (h *heads) Swap(i, j int) { h.all[i], h.all[j] = h.all[j], h.all[i] }

func (h *heads) Push(x any) { h.all = append(h.all, x.(head)) }

func (h *heads) Pop() any {
	last := h.all[len(h.all)-1]
	h.all = h.all[:len(h.all)-1]
	return last
}
