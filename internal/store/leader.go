package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"plague"
)

// Term counts leaders: each has the next. Every statement of a leader asks
// whether its term still is the newest.
type Term int64

// ErrNotLeader says that the caller does not lead, or no more.
var ErrNotLeader = fmt.Errorf("%w: another server leads", plague.ErrConflict)

// Acquire begins a new term for holder, who then leads for life unless it
// renews. With SQLite there is one server, and it leads; with PostgreSQL only
// when no other's life lasts.
func (db *DB) Acquire(ctx context.Context, holder string, life time.Duration) (Term, error) {
	free := ` WHERE id = 1`
	if db.pg {
		free += ` AND (until < ` + db.now() + ` OR holder = $1 OR holder = '')`
	}
	var t Term
	err := db.update(ctx, func(tx *tx) error {
		err := tx.row(`UPDATE leader SET term = term + 1, holder = $1, until = `+db.now()+` + $2`+free+` RETURNING term`,
			holder, life.Microseconds()).Scan(&t)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotLeader
		}
		return err
	})
	return t, err
}

// Renew lengthens the life of a term.
func (db *DB) Renew(ctx context.Context, t Term, holder string, life time.Duration) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE leader SET until = `+db.now()+` + $1 WHERE id = 1 AND term = $2 AND holder = $3`, life.Microseconds(), t, holder)
		if err == nil && n == 0 {
			return ErrNotLeader
		}
		return err
	})
}

// Resign ends a term's life: another server may lead at once.
func (db *DB) Resign(ctx context.Context, t Term, holder string) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE leader SET until = 0, holder = '' WHERE id = 1 AND term = $1 AND holder = $2`, t, holder)
		if err == nil && n == 0 {
			return ErrNotLeader
		}
		return err
	})
}

// Leads says, by an error, whether a term still is the newest: for what a
// leader changes outside of the database.
func (db *DB) Leads(ctx context.Context, t Term) error {
	return db.update(ctx, func(tx *tx) error { return tx.leads(t) })
}

// leads is the fence in every transaction of a leader. On PostgreSQL it holds
// off the next leader until the transaction has ended.
func (tx *tx) leads(t Term) error {
	var now Term
	if err := tx.row(tx.db.fencedTerm()).Scan(&now); err != nil {
		return err
	}
	if now != t {
		return ErrNotLeader
	}
	return nil
}

// lead is update for a leader's statements.
func (db *DB) lead(ctx context.Context, t Term, fn func(*tx) error) error {
	return db.update(ctx, func(tx *tx) error {
		if err := tx.leads(t); err != nil {
			return err
		}
		return fn(tx)
	})
}
