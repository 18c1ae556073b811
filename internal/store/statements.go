package store

import (
	"context"
	"database/sql"
	"sync"
)

// statements keeps the readers' statements prepared: parsing one costs more
// than running it. They end with
// their pool. The zero value is empty and ready.
type statements struct {
	mu  sync.Mutex // guards the field below
	all map[string]*sql.Stmt
}

// maxStatements bounds the cache: lists make statements of many shapes.
const maxStatements = 256

// get gives a statement prepared on a pool, nil when there is no room for it.
func (c *statements) get(ctx context.Context, pool *sql.DB, query string) (*sql.Stmt, error) {
	c.mu.Lock()
	s, full := c.all[query], len(c.all) >= maxStatements
	c.mu.Unlock()
	if s != nil || full {
		return s, nil
	}
	s, err := pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.all[query]; other != nil {
		return other, s.Close() // somebody was quicker
	}
	if c.all == nil {
		c.all = map[string]*sql.Stmt{}
	}
	c.all[query] = s
	return s, nil
}

// known gives a statement that is prepared already; nil: it is not.
func (c *statements) known(query string) *sql.Stmt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[query]
}

// queryRead runs a query of a reader.
func (db *DB) queryRead(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	s, err := db.prepared.get(ctx, db.read, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return db.read.QueryContext(ctx, query, args...)
	}
	return s.QueryContext(ctx, args...)
}

// rowRead is queryRead for one row.
func (db *DB) rowRead(ctx context.Context, query string, args []any) row {
	s, err := db.prepared.get(ctx, db.read, query)
	if err != nil {
		return failed{err}
	}
	if s == nil {
		return db.read.QueryRowContext(ctx, query, args...)
	}
	return s.QueryRowContext(ctx, args...)
}

// maxWanted bounds what one group of transactions asks to have prepared.
const maxWanted = 64

// statement gives a statement of the writer's, bound to its transaction; nil
// when it is not prepared. It cannot be prepared to stay while the transaction
// has the writer's only connection, so it is noted for later. On PostgreSQL the
// driver itself keeps statements.
func (tx *tx) statement(query string) *sql.Stmt {
	if tx.db.pg {
		return nil
	}
	if s := tx.db.writing.known(query); s != nil {
		return tx.sql.StmtContext(tx.ctx, s)
	}
	if len(tx.db.wanted) < maxWanted {
		tx.db.wanted[query] = true
	}
	return nil
}

// prepareWanted prepares what the transactions before would have used. The
// caller has the turn and no transaction. What cannot be prepared now is run
// unprepared, and asked for again.
func (db *DB) prepareWanted(ctx context.Context) {
	for query := range db.wanted {
		if _, err := db.writing.get(ctx, db.write, query); err != nil {
			break
		}
	}
	clear(db.wanted)
}
