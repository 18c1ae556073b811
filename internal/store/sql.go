package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// tx is one transaction, with the topics to wake when it is committed.
type tx struct {
	ctx    context.Context
	db     *DB
	sql    *sql.Tx
	topics map[Topic]bool
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
	r, err := tx.sql.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (tx *tx) row(query string, args ...any) row {
	if err := tx.db.ask(query); err != nil {
		return failed{err}
	}
	return tx.sql.QueryRowContext(tx.ctx, query, args...)
}

func (tx *tx) query(query string, args ...any) (*sql.Rows, error) {
	if err := tx.db.ask(query); err != nil {
		return nil, err
	}
	return tx.sql.QueryContext(tx.ctx, query, args...)
}

// querier is what reads need: a transaction or the pool of readers.
type querier interface {
	query(query string, args ...any) (*sql.Rows, error)
}

// reader reads outside of a transaction.
type reader struct {
	ctx context.Context
	db  *DB
}

func (r reader) query(query string, args ...any) (*sql.Rows, error) {
	if err := r.db.ask(query); err != nil {
		return nil, err
	}
	return r.db.read.QueryContext(r.ctx, query, args...)
}

func (db *DB) row(ctx context.Context, query string, args ...any) row {
	if err := db.ask(query); err != nil {
		return failed{err}
	}
	return db.read.QueryRowContext(ctx, query, args...)
}

// row is one row, or why there is none.
type row interface{ Scan(into ...any) error }

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
	rows, err := q.query(query, args...)
	if err != nil {
		return nil, err
	}
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
