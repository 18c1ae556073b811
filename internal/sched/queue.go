// Package sched decides which arch job goes to which builder. It is pure: it
// reads no clock, no database and no network, and the same arguments always
// give the same plan.
package sched

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"plague"
)

// Patience is how long a background job lets others go first. After it, it counts
// as everybody's do, so that none waits for ever.
const Patience = 24 * time.Hour

// An Item is an arch job that waits for a slot.
type Item struct {
	ID       plague.ArchJobID
	User     string
	Package  string
	Arch     string
	Target   string
	Priority int       // higher goes first; below 0: a background job
	Since    time.Time // when its job was submitted
	Roots    []string  // arches of the buildroots it can be built in, for noarch those that its spec and target allow; none: Arch alone
	Avoid    string    // builder that lost or refused it last: taken only if no other would do
}

// roots says whether one of the arches of its buildroots will do.
func (it Item) roots(do func(arch string) bool) bool {
	if len(it.Roots) == 0 {
		return do(it.Arch)
	}
	return slices.ContainsFunc(it.Roots, do)
}

// A Share is what one user gets of the farm. What he has others go before counts
// apart: a mass rebuild does not hold up its own user's next job.
type Share struct {
	User       string
	Background bool
}

// Share is whose part of the farm an item takes.
func (it Item) Share() Share { return ShareOf(it.User, it.Priority) }

// ShareOf is the Share of a user's jobs of a priority.
func ShareOf(user string, priority int) Share { return Share{user, priority < 0} }

// rank is the priority that an item has now.
func (it Item) rank(now time.Time) int {
	if it.Priority < 0 && now.Sub(it.Since) >= Patience {
		return 0
	}
	return it.Priority
}

// constraint is what a builder must offer.
type constraint struct{ arch, target, roots string }

func (it Item) constraint() constraint {
	return constraint{it.Arch, it.Target, strings.Join(it.Roots, " ")}
}

// kind is what the items of one line have in common.
type kind struct {
	constraint
	user     string
	priority int
}

func (it Item) kind() kind { return kind{it.constraint(), it.User, it.Priority} }

// line is the items of one kind, oldest first.
type line struct {
	kind
	items []Item
}

// byAge is the order within a line. Ids are given in order of submission.
func byAge(it Item, id plague.ArchJobID) int { return cmp.Compare(it.ID, id) }

// Queue is the index that Plan takes its heads from: one ordered line for each
// user, constraint and priority. It is rebuilt from the store when a leader begins,
// and advanced by what happens. The zero value is empty and ready.
type Queue struct {
	lines map[kind]*line
	where map[plague.ArchJobID]*line
}

// Len is the number of items.
func (q *Queue) Len() int { return len(q.where) }

// Add puts an item in its place. One that is there already is left alone.
func (q *Queue) Add(it Item) {
	if q.where[it.ID] != nil {
		return
	}
	if q.where == nil {
		q.lines, q.where = map[kind]*line{}, map[plague.ArchJobID]*line{}
	}
	k := it.kind()
	l := q.lines[k]
	if l == nil {
		l = &line{kind: k}
		q.lines[k] = l
	}
	at, _ := slices.BinarySearchFunc(l.items, it.ID, byAge)
	l.items = slices.Insert(l.items, at, it)
	q.where[it.ID] = l
}

// Remove takes an item out; one that is not there is no error.
func (q *Queue) Remove(id plague.ArchJobID) {
	l := q.where[id]
	if l == nil {
		return
	}
	delete(q.where, id)
	at, _ := slices.BinarySearchFunc(l.items, id, byAge)
	if at == 0 { // the head goes most, and shall not move all that wait behind it
		l.items[0] = Item{}
		l.items = l.items[1:]
	} else {
		l.items = slices.Delete(l.items, at, at+1)
	}
	if len(l.items) == 0 {
		delete(q.lines, l.kind)
	}
}

// Find gives an item of the queue.
func (q *Queue) Find(id plague.ArchJobID) (it Item, there bool) {
	l := q.where[id]
	if l == nil {
		return Item{}, false
	}
	at, there := slices.BinarySearchFunc(l.items, id, byAge)
	return l.items[at], there
}

// Has says whether the item is in the queue.
func (q *Queue) Has(id plague.ArchJobID) bool { return q.where[id] != nil }

// IDs lists all items by id, for comparing the index with the store.
func (q *Queue) IDs() []plague.ArchJobID {
	ids := make([]plague.ArchJobID, 0, len(q.where))
	for id := range q.where {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
