package sched

import (
	"cmp"
	"container/heap"
	"maps"
	"time"
)

// heads is a heap of what each asker wants next that a plan has not taken yet.
// What a user runs grows while the plan is made, so a place in the heap may be
// too good, never too bad: the first is put in its place before it is believed.
type heads struct {
	all  wanted
	busy map[Share]int   // what each user runs, with the plan so far
	gone map[*class]bool // no builder has a slot for them any more
	now  time.Time
}

// wants is what is left of an asker.
type wants struct {
	share Share
	fresh []*line // of which nothing is taken, by their first items
	begun begun   // its first is what is wanted next
	busy  int     // what its user ran when it got its place
}

// head is what is left of a line, and its first item.
type head struct {
	line  *line
	taken [parts]int32 // of each of its parts
	span  span         // part that the first is of
	turn               // of the first
}

func newHeads(q *Queue, running map[Share]int, now time.Time) *heads {
	h := &heads{busy: maps.Clone(running), gone: map[*class]bool{}, now: now, all: make(wanted, 0, len(q.askers))}
	if h.busy == nil {
		h.busy = map[Share]int{}
	}
	for _, a := range q.askers {
		w := &wants{share: a.share(), fresh: a.lines}
		w.busy = h.busy[w.share]
		if a.mixed(now) {
			w.begun, w.fresh = begunAt(a.lines, now), nil
		}
		w.settle(h)
		h.all = append(h.all, w)
	}
	heap.Init(&h.all)
	return h
}

// begunAt looks into each line.
func begunAt(lines []*line, now time.Time) begun {
	all := make(begun, len(lines))
	for i, l := range lines {
		all[i].line = l
		all[i].find(now)
	}
	heap.Init(&all)
	return all
}

// settle brings what is wanted next to the front; false: nothing is that can be had.
func (w *wants) settle(h *heads) bool {
	for len(w.fresh) > 0 && h.gone[w.fresh[0].class] {
		w.fresh = w.fresh[1:]
	}
	for len(w.begun) > 0 && h.gone[w.begun[0].line.class] {
		heap.Pop(&w.begun)
	}
	if len(w.fresh) > 0 && (len(w.begun) == 0 || w.fresh[0].first.older(w.begun[0].turn)) {
		one := head{line: w.fresh[0]}
		one.find(h.now)
		heap.Push(&w.begun, one)
		w.fresh = w.fresh[1:]
	}
	return len(w.begun) > 0
}

func (h *head) first() *Item { return &h.line.items[h.span][h.taken[h.span]] }

// find looks which item of the line is the first at a time; false: none is left.
func (h *head) find(now time.Time) bool {
	found := false
	for s := range span(parts) {
		if int(h.taken[s]) >= len(h.line.items[s]) {
			continue
		}
		it := &h.line.items[s][h.taken[s]]
		rank, due := it.rank(now), it.dueIn(s)
		if !found || cmp.Or(cmp.Compare(h.rank, rank), cmp.Compare(due, h.due), cmp.Compare(it.ID, h.id)) < 0 {
			found, h.span, h.rank, h.due, h.id = true, s, rank, due, it.ID
		}
	}
	return found
}

// next leaves the first item behind; false: none is left.
func (h *head) next(now time.Time) bool {
	h.taken[h.span]++
	return h.find(now)
}

// first gives the item whose turn it is, and its class; nil: none that can be had.
func (h *heads) first() (*Item, *class) {
	for len(h.all) > 0 {
		top := h.all[0]
		if h.gone[top.begun[0].line.class] {
			h.settle()
			continue
		}
		if now := h.busy[top.share]; top.busy != now {
			top.busy = now
			heap.Fix(&h.all, 0)
			continue
		}
		return top.begun[0].first(), top.begun[0].line.class
	}
	return nil, nil
}

// settle puts the first asker in its place after what it wanted first has changed.
func (h *heads) settle() {
	if h.all[0].settle(h) {
		heap.Fix(&h.all, 0)
	} else {
		heap.Pop(&h.all)
	}
}

// take moves the first item into the plan.
func (h *heads) take() {
	top := h.all[0]
	h.busy[top.share]++
	top.busy = h.busy[top.share]
	if top.begun[0].next(h.now) {
		heap.Fix(&top.begun, 0)
	} else {
		heap.Pop(&top.begun)
	}
	h.settle()
}

// drop leaves the line of the first item out of the plan.
func (h *heads) drop() head {
	left := heap.Pop(&h.all[0].begun).(head)
	h.settle()
	return left
}

// give leaves all lines of a class out of the plan.
func (h *heads) give(c *class) { h.gone[c] = true }

// begun is a heap of lines of one asker, by their first items.
type begun []head

func (b begun) Len() int           { return len(b) }
func (b begun) Less(i, j int) bool { return b[i].before(b[j].turn) }
func (b begun) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *begun) Push(x any)        { *b = append(*b, x.(head)) }

func (b *begun) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

// wanted is a heap of askers, by what they want next and what their users run.
type wanted []*wants

func (w *wants) turn() turn {
	t := w.begun[0].turn
	t.busy = w.busy
	return t
}

func (w wanted) Len() int           { return len(w) }
func (w wanted) Less(i, j int) bool { return w[i].turn().before(w[j].turn()) }
func (w wanted) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *wanted) Push(x any)        { *w = append(*w, x.(*wants)) }

func (w *wanted) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}
