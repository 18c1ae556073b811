package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"plague"
)

// pending is one caller's part of a grouped commit.
type pending struct {
	ctx    context.Context
	fn     func(*tx) error
	taken  atomic.Bool
	topics map[Topic]bool
	done   chan error // has room for the one answer
}

// update runs fn in a transaction. On SQLite the transactions of callers who
// come at the same time share one commit, and so one fsync: whoever gets the
// turn runs all that wait, each under a savepoint of its own.
func (db *DB) update(ctx context.Context, fn func(*tx) error) error {
	if db.pg {
		return db.trouble(db.updatePostgres(ctx, fn))
	}
	p := &pending{ctx: ctx, fn: fn, topics: map[Topic]bool{}, done: make(chan error, 1)}
	db.mu.Lock()
	db.waiting = append(db.waiting, p)
	db.mu.Unlock()
	select {
	case err := <-p.done:
		return db.trouble(err)
	case db.turn <- struct{}{}:
		func() {
			defer func() { <-db.turn }() // also when fn panics: others shall not wait for ever
			db.drain()
		}()
		return db.trouble(<-p.done)
	case <-ctx.Done():
		if p.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return db.trouble(<-p.done) // somebody runs it already
	}
}

// drain runs everything that waits. The caller has the turn.
func (db *DB) drain() {
	db.mu.Lock()
	group := db.waiting
	db.waiting = nil
	db.mu.Unlock()
	var mine []*pending
	for _, p := range group {
		if p.taken.CompareAndSwap(false, true) {
			mine = append(mine, p)
		}
	}
	if len(mine) == 0 {
		return
	}
	answers, err := make([]error, len(mine)), errPanic
	defer func() {
		topics := map[Topic]bool{}
		for i, p := range mine {
			if err == nil && answers[i] == nil {
				maps.Copy(topics, p.topics)
			}
		}
		db.wakes.wake(topics) // before the answers: who waits for its own change need not look twice
		for i, p := range mine {
			if err != nil { // what fn saw may never have been: its own answer counts for nothing
				answers[i] = err
			}
			p.done <- answers[i]
		}
	}()
	answers, err = db.commitGroup(mine)
}

// errPanic answers those whose commit was shared with a caller that panicked.
var errPanic = errors.New("another caller of the same commit broke down")

// groupTime bounds one commit with all that leads to it: what takes longer is
// a database in trouble.
const groupTime = 30 * time.Second

// commitGroup runs a group in one transaction. One answer for each; err is
// everybody's.
func (db *DB) commitGroup(group []*pending) (answers []error, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(group[0].ctx), groupTime)
	defer cancel()
	answers = make([]error, len(group))
	if err := db.ask("begin"); err != nil {
		return answers, err
	}
	db.prepareWanted(ctx)
	t, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return answers, err
	}
	defer t.Rollback()
	for i, p := range group {
		one := &tx{ctx: ctx, db: db, sql: t, topics: p.topics}
		if len(group) == 1 {
			if answers[i] = one.run(p.fn); answers[i] != nil {
				return answers, nil // nothing to commit
			}
			break
		}
		if answers[i], err = savepoint(one, p.fn); err != nil {
			return answers, err
		}
	}
	if err := db.ask("commit"); err != nil {
		return answers, err
	}
	return answers, t.Commit()
}

// savepoint runs fn so that its error undoes what it did and nothing else. err
// says that this did not work, and the whole transaction is void.
func savepoint(t *tx, fn func(*tx) error) (answer, err error) {
	if _, err := t.sql.ExecContext(t.ctx, "SAVEPOINT one"); err != nil {
		return nil, err
	}
	answer = t.run(fn)
	if answer != nil {
		if _, err := t.sql.ExecContext(t.ctx, "ROLLBACK TO one"); err != nil {
			return answer, err
		}
	}
	_, err = t.sql.ExecContext(t.ctx, "RELEASE one")
	return answer, err
}

// pgTries is how often a transaction that PostgreSQL gave up in favour of
// another is run again.
const pgTries = 8

func (db *DB) updatePostgres(ctx context.Context, fn func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, groupTime)
	defer cancel()
	for try := 1; ; try++ {
		err := db.oncePostgres(ctx, fn)
		if err == nil || try == pgTries || !givenUp(err) {
			return err
		}
		t := time.NewTimer(time.Duration(try) * 5 * time.Millisecond)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

func (db *DB) oncePostgres(ctx context.Context, fn func(*tx) error) error {
	if err := db.ask("begin"); err != nil {
		return err
	}
	t, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	one := &tx{ctx: ctx, db: db, sql: t, topics: map[Topic]bool{}}
	if err := one.run(fn); err != nil {
		return err
	}
	if len(one.topics) > 0 && !db.telling.lives() {
		if _, err := one.exec(`SELECT pg_notify($1, $2)`, channel, db.payload(one.topics)); err != nil {
			return err
		}
	}
	if err := db.ask("commit"); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return err
	}
	db.telling.put(one.topics)
	db.wakes.wake(one.topics)
	return nil
}

// changed turns "no row" into a conflict.
func changed(n int64, err error, what string, args ...any) error {
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: "+what, append([]any{plague.ErrConflict}, args...)...)
	}
	return nil
}
