// Package sched decides which arch job goes to which builder. It is pure: it
// reads no clock, no database and no network, and the same arguments always
// give the same plan.
package sched

import (
	"cmp"
	"slices"
	"strings"

	"plague"
)

// An Item is an arch job that waits for a slot.
type Item struct {
	ID       plague.ArchJobID
	User     string
	Arch     string
	Target   string
	Priority int      // higher goes first
	Roots    []string // arches of the buildroots it can be built in, for noarch those that its spec and target allow; none: Arch alone
	Avoid    string   // builder that lost or refused it last: taken only if no other would do
}

// before is the order within one user's list: priority, then age. Ids are
// given in order of submission, so they stand for age.
func before(a, b Item) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID, b.ID))
}

// constraint is what a builder must offer.
type constraint struct{ arch, target, roots string }

func (it Item) constraint() constraint {
	return constraint{it.Arch, it.Target, strings.Join(it.Roots, " ")}
}

// line is one user's items under one constraint, in order.
type line struct {
	constraint
	user  string
	items []Item
}

// Queue is the index that Plan takes its heads from: one ordered line for each
// user and constraint. It is rebuilt from the store when a leader begins, and
// advanced by what happens. The zero value is empty and ready.
type Queue struct {
	lines map[constraint]map[string]*line
	where map[plague.ArchJobID]place
}

// place is where an item is found: its line, and its key in there beside its id.
type place struct {
	*line
	priority int
}

// Len is the number of items.
func (q *Queue) Len() int { return len(q.where) }

// Add puts an item in its place. One that is there already is left alone.
func (q *Queue) Add(it Item) {
	if _, there := q.where[it.ID]; there {
		return
	}
	if q.where == nil {
		q.lines = map[constraint]map[string]*line{}
		q.where = map[plague.ArchJobID]place{}
	}
	c := it.constraint()
	if q.lines[c] == nil {
		q.lines[c] = map[string]*line{}
	}
	l := q.lines[c][it.User]
	if l == nil {
		l = &line{constraint: c, user: it.User}
		q.lines[c][it.User] = l
	}
	at, _ := slices.BinarySearchFunc(l.items, it, before)
	l.items = slices.Insert(l.items, at, it)
	q.where[it.ID] = place{l, it.Priority}
}

// Remove takes an item out; one that is not there is no error.
func (q *Queue) Remove(id plague.ArchJobID) {
	l, there := q.where[id]
	if !there {
		return
	}
	delete(q.where, id)
	at, _ := slices.BinarySearchFunc(l.items, Item{ID: id, Priority: l.priority}, before)
	if at == 0 { // the head goes most, and shall not move all that wait behind it
		l.items[0] = Item{}
		l.items = l.items[1:]
	} else {
		l.items = slices.Delete(l.items, at, at+1)
	}
	if len(l.items) > 0 {
		return
	}
	delete(q.lines[l.constraint], l.user)
	if len(q.lines[l.constraint]) == 0 {
		delete(q.lines, l.constraint)
	}
}

// Has says whether the item is in the queue.
func (q *Queue) Has(id plague.ArchJobID) bool { return q.where[id].line != nil }

// IDs lists all items by id, for comparing the index with the store.
func (q *Queue) IDs() []plague.ArchJobID {
	ids := make([]plague.ArchJobID, 0, len(q.where))
	for id := range q.where {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// User is whose an item is; empty when it is not in the queue.
func (q *Queue) User(id plague.ArchJobID) string {
	if l := q.where[id].line; l != nil {
		return l.user
	}
	return ""
}
