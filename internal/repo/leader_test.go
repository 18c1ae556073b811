package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"plague"
)

// farmDB is the part of the database that two servers meet in: who leads, and
// what is committed.
type farmDB struct {
	mu        sync.Mutex // guards the fields below
	term      int
	committed []contents
}

func (db *farmDB) lead() (term int, current int64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.term++
	return db.term, int64(len(db.committed))
}

func (db *farmDB) check(term int) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if term != db.term {
		return fmt.Errorf("%w: term %d is over", plague.ErrConflict, term)
	}
	return nil
}

func (db *farmDB) commit(term int, s Snapshot) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if term != db.term || s.Parent != int64(len(db.committed)) {
		return fmt.Errorf("%w: not this leader's any more", plague.ErrConflict)
	}
	db.committed = append(db.committed, contentsOf(s.Packages[arch]))
	return nil
}

// Servers that take the lead from each other at any moment, with different jobs
// to publish, leave exactly what was committed.
func TestLeadersTakeOver(t *testing.T) {
	dir, artifacts := memory(t), memory(t)
	db := &farmDB{}
	var servers sync.WaitGroup
	for server := range 3 {
		servers.Go(func() {
			tree := openTree(t, dir, Plain{})
			dice := rand.New(rand.NewPCG(1, uint64(server)))
			for range 40 {
				err := leadFor(t, tree, db, artifacts, server, dice.IntN(4))
				if err != nil && !errors.Is(err, plague.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	servers.Wait()
	tree := openTree(t, dir, Plain{})
	t.Logf("%d terms, %d snapshots", db.term, len(db.committed))
	if len(db.committed) < 3 {
		t.Error("this test saw nothing")
	}
	for i, want := range db.committed {
		if _, got := seen(t, tree, fmt.Sprintf("@%d", i+1)); !maps.Equal(got, want) {
			t.Errorf("snapshot %d is %v, not %v", i+1, got, want)
		}
	}
	if err := tree.Point(t.Context(), target, arches, int64(len(db.committed))); err != nil {
		t.Error(err)
	}
}

// leadFor is one server's time as the leader: some publications, unless another
// takes over.
func leadFor(t *testing.T, tree *Tree, db *farmDB, artifacts string, server, publications int) error {
	term, n := db.lead()
	tree = tree.WithFence(func(context.Context) error { return db.check(term) })
	if err := tree.Sweep(t.Context(), target, n); err != nil {
		return err
	}
	if n > 0 {
		if err := tree.Point(t.Context(), target, arches, n); err != nil {
			return err
		}
	}
	for range publications {
		s := of(n+1, n, plain(t, artifacts, n+1, fmt.Sprintf("p%d", n+1), fmt.Sprintf("of server %d", server)))
		if err := tree.Build(t.Context(), s); err != nil {
			return err
		}
		if err := db.commit(term, s); err != nil {
			return err
		}
		n++
		if err := tree.Point(t.Context(), target, arches, n); err != nil {
			return err
		}
	}
	return nil
}

// A leader that slept through its successor's election must not replace what
// that one has built and is about to commit.
func TestStaleLeaderIsFenced(t *testing.T) {
	dir, artifacts, db := memory(t), memory(t), &farmDB{}
	tree := openTree(t, dir, Plain{})
	as := func(term int) *Tree {
		return tree.WithFence(func(context.Context) error { return db.check(term) })
	}
	old, _ := db.lead()
	now, _ := db.lead()
	mine := of(1, 0, plain(t, artifacts, 1, "p", "of the new leader"))
	if err := as(now).Build(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"build":  as(old).Build(t.Context(), of(1, 0, plain(t, artifacts, 1, "p", "of the old leader"))),
		"point":  as(old).Point(t.Context(), target, arches, 1),
		"retain": as(old).Retain(t.Context(), target, none, time.Now()),
		"sweep":  as(old).Sweep(t.Context(), target, 0),
	} {
		if !errors.Is(err, plague.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := current(t, tree); n != 0 {
		t.Errorf("the stable address shows %d", n)
	}
	if err := as(now).Point(t.Context(), target, arches, 1); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, tree, ".", 1, mine.Packages[arch]...)
}

// parked is a maker that waits until it is let go.
type parked struct{ begun, leave chan struct{} }

func (p parked) Make(ctx context.Context, in MakeInput) error {
	p.begun <- struct{}{}
	<-p.leave
	return Plain{}.Make(ctx, in)
}

// One target is changed by one server at a time; others are not held up.
func TestOneAtATime(t *testing.T) {
	dir := memory(t)
	slow := parked{make(chan struct{}), make(chan struct{})}
	first, second := openTree(t, dir, slow), openTree(t, dir, Plain{})
	done := make(chan error)
	go func() { done <- first.Build(t.Context(), of(1, 0)) }()
	<-slow.begun
	ctx, cancel := context.WithTimeout(t.Context(), 5*lockPoll)
	defer cancel()
	for what, err := range map[string]error{
		"build": second.Build(ctx, of(2, 0)),
		"sweep": second.Sweep(ctx, target, 0),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s did not wait: %v", what, err)
		}
	}
	other := Snapshot{Target: "lab-13-extras", Number: 1, Arches: arches}
	if err := second.Build(t.Context(), other); err != nil {
		t.Error(err)
	}
	close(slow.leave)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := second.Sweep(t.Context(), target, 1); err != nil {
		t.Error(err)
	}
	wantSeen(t, second, "@1", 1)
}

// Alone is for one at a time, also over two servers, and only for the leader.
func TestAlone(t *testing.T) {
	dir := memory(t)
	first, second := openTree(t, dir, Plain{}), openTree(t, dir, Plain{})
	err := first.Alone(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*lockPoll)
		defer cancel()
		return second.Alone(ctx, func() error { return nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second did not wait: %v", err)
	}
	done := false
	if err := second.Alone(t.Context(), func() error { done = true; return nil }); err != nil || !done {
		t.Errorf("done: %v, %v", done, err)
	}
	old := first.WithFence(func(context.Context) error { return plague.ErrConflict })
	if err := old.Alone(t.Context(), func() error { t.Error("an old leader acts"); return nil }); !errors.Is(err, plague.ErrConflict) {
		t.Error(err)
	}
}
