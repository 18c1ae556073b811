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
	Queued   time.Time // when it came into the queue first
	Learned  plague.Learned
	Roots    []string // arches of the buildroots it can be built in, for noarch those that its spec and target allow; none: Arch alone
	Needs    plague.Needs
	Avoid    string // builder that lost or refused it last: taken only if no other would do
	// Tried are the builders on which it had trouble, once it was more than one time: all
	// others come first, and of these the one to avoid last.
	Tried []string
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
type constraint struct {
	arch, target, roots, labels string
	memory, disk                int64
	size                        size
}

func (it Item) constraint() constraint {
	return constraint{it.Arch, it.Target, strings.Join(it.Roots, " "), strings.Join(it.Needs.Labels, " "), it.Needs.Memory, it.Needs.Disk, sizeOf(it.Learned)}
}

// class is a constraint that something in the queue has: it is compared by its address,
// which costs less than its words.
type class struct {
	constraint
	lines int
}

// line is the items of one asker and class, by what they are expected to take, and of each
// span the oldest first: by dues they would have to be inserted in between.
type line struct {
	asker *asker
	class *class
	items [parts][]Item
	len   int
	first turn // of its first item, as long as none counts as everybody's do that did not
}

// byAge is the order within a line. Ids are given in order of submission.
func byAge(it Item, id plague.ArchJobID) int { return cmp.Compare(it.ID, id) }

// Queue is the index that Plan takes its heads from: one ordered line for each
// user, constraint and priority. It is rebuilt from the store when a leader begins,
// and advanced by what happens. The zero value is empty and ready.
type Queue struct {
	askers  map[asks]*asker
	classes map[constraint]*class
	lines   map[kind]*line
	where   map[plague.ArchJobID]place
}

// kind is what the items of one line have in common.
type kind struct {
	asker *asker
	class *class
}

type place struct {
	line *line
	span span
}

// Len is the number of items.
func (q *Queue) Len() int { return len(q.where) }

// Add puts an item in its place. One that is there already is left alone.
func (q *Queue) Add(it Item) {
	if q.Has(it.ID) {
		return
	}
	l := q.line(it)
	p := place{l, spanOf(it.Learned.Took)}
	part := &l.items[p.span]
	at, _ := slices.BinarySearchFunc(*part, it.ID, byAge)
	*part = slices.Insert(*part, at, it)
	l.len++
	l.asker.spans(it.Since)
	l.asker.placed(l)
	q.where[it.ID] = p
}

// line finds the line of an item, or begins one.
func (q *Queue) line(it Item) *line {
	if q.where == nil {
		*q = Queue{map[asks]*asker{}, map[constraint]*class{}, map[kind]*line{}, map[plague.ArchJobID]place{}}
	}
	n, by := it.constraint(), asks{it.User, it.Priority}
	a, c := q.askers[by], q.classes[n]
	if a == nil {
		a = &asker{asks: by, oldest: it.Since, newest: it.Since}
		q.askers[by] = a
	}
	if c == nil {
		c = &class{constraint: n}
		q.classes[n] = c
	}
	l := q.lines[kind{a, c}]
	if l == nil {
		l = &line{asker: a, class: c}
		c.lines++
		q.lines[kind{a, c}] = l
	}
	return l
}

// Remove takes an item out; one that is not there is no error.
func (q *Queue) Remove(id plague.ArchJobID) {
	p, there := q.where[id]
	if !there {
		return
	}
	delete(q.where, id)
	part := &p.line.items[p.span]
	at, _ := slices.BinarySearchFunc(*part, id, byAge)
	if at == 0 { // the head goes most, and shall not move all that wait behind it
		(*part)[0] = Item{}
		*part = (*part)[1:]
	} else {
		*part = slices.Delete(*part, at, at+1)
	}
	p.line.len--
	p.line.asker.placed(p.line)
	if p.line.len == 0 {
		q.end(p.line)
	}
}

// end forgets a line that is empty, and what was there for it alone.
func (q *Queue) end(l *line) {
	delete(q.lines, kind{l.asker, l.class})
	if l.class.lines--; l.class.lines == 0 {
		delete(q.classes, l.class.constraint)
	}
	if len(l.asker.lines) == 0 {
		delete(q.askers, l.asker.asks)
	}
}

// Find gives an item of the queue.
func (q *Queue) Find(id plague.ArchJobID) (it Item, there bool) {
	p, there := q.where[id]
	if !there {
		return Item{}, false
	}
	part := p.line.items[p.span]
	at, there := slices.BinarySearchFunc(part, id, byAge)
	return part[at], there
}

// Has says whether the item is in the queue.
func (q *Queue) Has(id plague.ArchJobID) bool {
	_, there := q.where[id]
	return there
}

// IDs lists all items by id, for comparing the index with the store.
func (q *Queue) IDs() []plague.ArchJobID {
	ids := make([]plague.ArchJobID, 0, len(q.where))
	for id := range q.where {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
