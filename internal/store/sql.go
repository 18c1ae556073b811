package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"
)

// tx is one transaction, with the topics to wake when it is committed.
type tx struct {
	ctx    context.Context
	db     *DB
	sql    *sql.Tx
	topics map[Topic]bool
	counts map[shard]int64 // changes of job_counts
	events bool            // it has written one
}

// run runs fn, and after it what has to be last.
func (tx *tx) run(fn func(*tx) error) error {
	if err := fn(tx); err != nil {
		return err
	}
	return tx.countAll()
}

func (tx *tx) wake(topics ...Topic) {
	for _, t := range topics {
		tx.topics[t] = true
	}
}

// exec runs a statement and tells how many rows it changed.
func (tx *tx) exec(query string, args ...any) (int64, error) {
	if err := tx.db.ask(query); err != nil {
		return 0, err
	}
	var r sql.Result
	var err error
	if s := tx.statement(query); s != nil {
		r, err = s.ExecContext(tx.ctx, args...)
	} else {
		r, err = tx.sql.ExecContext(tx.ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (tx *tx) row(query string, args ...any) row {
	if err := tx.db.ask(query); err != nil {
		return failed{err}
	}
	if s := tx.statement(query); s != nil {
		return s.QueryRowContext(tx.ctx, args...)
	}
	return tx.sql.QueryRowContext(tx.ctx, query, args...)
}

func (tx *tx) query(query string, args ...any) (*sql.Rows, func(), error) {
	if err := tx.db.ask(query); err != nil {
		return nil, nil, err
	}
	var rows *sql.Rows
	var err error
	if s := tx.statement(query); s != nil {
		rows, err = s.QueryContext(tx.ctx, args...)
	} else {
		rows, err = tx.sql.QueryContext(tx.ctx, query, args...)
	}
	return rows, func() {}, err
}

// querier is what reads need: a transaction or the pool of readers.
type querier interface {
	query(query string, args ...any) (rows *sql.Rows, done func(), err error)
}

// readTime bounds one read: what takes longer is a database in trouble.
const readTime = 30 * time.Second

// reader reads outside of a transaction.
type reader struct {
	ctx context.Context
	db  *DB
}

func (r reader) query(query string, args ...any) (*sql.Rows, func(), error) {
	if err := r.db.ask(query); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.ctx, readTime)
	rows, err := r.db.queryRead(ctx, query, args)
	if err != nil {
		cancel()
	}
	return rows, cancel, err
}

func (db *DB) row(ctx context.Context, query string, args ...any) row {
	if err := db.ask(query); err != nil {
		return failed{err}
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	return bounded{db.rowRead(ctx, query, args), cancel}
}

// row is one row, or why there is none.
type row interface{ Scan(into ...any) error }

type bounded struct {
	row
	done func()
}

func (b bounded) Scan(into ...any) error {
	defer b.done()
	return b.row.Scan(into...)
}

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

func (db *DB) ask(op string) error {
	if db.Hook == nil {
		return nil
	}
	return db.Hook(op)
}

// collect reads all rows of a query.
func collect[T any](q querier, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, done, err := q.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer done()
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// text reads a column.
func text(r row) (string, error) {
	var s string
	err := r.Scan(&s)
	return s, err
}

// placeholders gives "$from, $from+1, …" for n arguments.
func placeholders(from, n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = "$" + strconv.Itoa(from+i)
	}
	return strings.Join(parts, ", ")
}

// anys turns a list into arguments.
func anys[T any](list []T) []any {
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = v
	}
	return args
}
