package sched

import (
	"cmp"
	"slices"
	"time"

	"plague"
)

// asks is who asks, and how urgently.
type asks struct {
	user     string
	priority int
}

// asker is what one user has in the queue at one priority.
type asker struct {
	asks
	lines []*line // by their first items
	// All that was ever in the lines was submitted within these times.
	oldest, newest time.Time
}

// mixed says whether some of it counts as everybody's do at a time, and some does not:
// then the order of the lines is not that of their first items any more.
func (a *asker) mixed(now time.Time) bool {
	return (Item{Priority: a.priority, Since: a.oldest}).rank(now) != (Item{Priority: a.priority, Since: a.newest}).rank(now)
}

// spans takes in when an item of it was submitted.
func (a *asker) spans(since time.Time) {
	if since.Before(a.oldest) {
		a.oldest = since
	}
	if since.After(a.newest) {
		a.newest = since
	}
}

func (a *asker) share() Share { return ShareOf(a.user, a.priority) }

// turn is whose turn it is, of items that wait: the higher rank, then the user who runs
// less, then what counts as older. Ids break ties, so that the order is always the same.
type turn struct {
	rank, busy int
	due        int64
	id         plague.ArchJobID
}

func (t turn) compare(u turn) int {
	return cmp.Or(cmp.Compare(u.rank, t.rank), cmp.Compare(t.busy, u.busy), cmp.Compare(t.due, u.due), cmp.Compare(t.id, u.id))
}

func (t turn) before(u turn) bool { return t.compare(u) < 0 }

// older says which of two of the same asker and rank goes first.
func (t turn) older(u turn) bool {
	return cmp.Or(cmp.Compare(t.due, u.due), cmp.Compare(t.id, u.id)) < 0
}

func byTurn(l *line, t turn) int { return l.first.compare(t) }

// placed puts a line that got or lost an item where its first item belongs, or, when it
// is empty, nowhere.
func (a *asker) placed(l *line) {
	h := head{line: l}
	left := h.find(time.Time{}) // when nothing has waited for too long
	if left && h.turn == l.first {
		return
	}
	if at, there := slices.BinarySearchFunc(a.lines, l.first, byTurn); there {
		a.lines = slices.Delete(a.lines, at, at+1)
	}
	l.first = h.turn
	if left {
		at, _ := slices.BinarySearchFunc(a.lines, l.first, byTurn)
		a.lines = slices.Insert(a.lines, at, l)
	}
}
