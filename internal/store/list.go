package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"plague"
)

// Filter chooses jobs for a list. Zero members choose everything.
type Filter struct {
	States        []plague.JobState
	User          string
	Package       string
	Target        string
	Since, Until  time.Time    // submitted at or after, and before
	Before, After plague.JobID // submitted before and after these jobs: the key of the next page
	Oldest        bool         // oldest first; otherwise newest
	Limit         int          // at most 1000
}

// spot is a place between jobs: before the one that was submitted then.
type spot struct {
	at  int64 // microseconds
	uid plague.JobID
}

func (s spot) less(o spot) bool { return s.at < o.at || s.at == o.at && s.uid < o.uid }

// Jobs lists jobs in the order of their submission. Whatever a filter chooses,
// a page reads one stretch of an index for each state: the thousandth page
// costs what the first does. ErrNotFound: there is no job Before or After.
func (db *DB) Jobs(ctx context.Context, f Filter) ([]plague.Job, error) {
	from, to := spot{at: us(f.Since)}, spot{at: math.MaxInt64}
	if !f.Until.IsZero() {
		to.at = us(f.Until)
	}
	if f.After > 0 {
		s, err := db.spotOf(ctx, f.After)
		if err != nil {
			return nil, err
		}
		if s.uid++; from.less(s) {
			from = s
		}
	}
	if f.Before > 0 {
		s, err := db.spotOf(ctx, f.Before)
		if err != nil {
			return nil, err
		}
		if s.less(to) {
			to = s
		}
	}
	for _, c := range f.conditions() {
		if !utf8.ValidString(c.value) || strings.ContainsRune(c.value, 0) {
			return nil, nil // no text of a database: PostgreSQL would call it an error
		}
	}
	query, args := f.query(db, from, to)
	if query == "" {
		return nil, nil
	}
	js, err := collect(ordered{reader{ctx, db}}, scanJob, query, args...)
	return js, db.trouble(err)
}

func (db *DB) spotOf(ctx context.Context, uid plague.JobID) (spot, error) {
	s := spot{uid: uid}
	err := db.trouble(db.row(ctx, `SELECT submitted_at FROM jobs WHERE uid = $1`, uid).Scan(&s.at))
	if errors.Is(err, plague.ErrNotFound) {
		err = plague.Refuse(plague.ErrNotFound, fmt.Sprintf("there is no job %d", uid), "a page begins at a job that a list has shown")
	}
	return s, err
}

// query spells the filter out; empty: nothing can fit.
func (f *Filter) query(db *DB, from, to spot) (string, []any) {
	args := []any{from.at, from.uid, to.at, to.uid, min(max(f.Limit, 1), 1000)}
	order := ` DESC`
	if f.Oldest {
		order = ``
	}
	page := func(table string) string {
		return fmt.Sprintf(` ORDER BY %[1]ssubmitted_at%[2]s, %[1]suid%[2]s LIMIT $5`, table, order)
	}
	where := `(submitted_at, uid) >= ($1, $2) AND (submitted_at, uid) < ($3, $4)`
	for _, c := range f.conditions() {
		args = append(args, c.value)
		where += fmt.Sprintf(` AND %s = $%d`, c.column, len(args))
	}
	// First the keys, of one branch for each state, so that none reads or sorts
	// what is not on the page; then their jobs.
	var branches []string
	for i, state := range f.states() {
		branches = append(branches, fmt.Sprintf(`SELECT * FROM (SELECT submitted_at, uid FROM jobs%s WHERE %s AND %s%s) AS s%d`,
			db.by(f.index()), is(state), where, page(""), i))
	}
	if len(branches) == 0 {
		return "", nil
	}
	return `SELECT ` + prefixed("jobs", jobColumns) + ` FROM (SELECT * FROM (` + strings.Join(branches, ` UNION ALL `) + `) AS p` + page("") + `) AS k
		CROSS JOIN jobs WHERE jobs.uid = k.uid` + page("k."), args
}

// index names the one whose stretches a page is read from. Jobs of one package
// are few: its index has user and target behind the key.
func (f *Filter) index() string {
	switch {
	case f.Package != "":
		return "jobs_package"
	case f.User != "" && f.Target != "":
		return "jobs_user_target"
	case f.User != "":
		return "jobs_user"
	case f.Target != "":
		return "jobs_target"
	}
	return "jobs_list"
}

type condition struct {
	column string
	value  string
}

// conditions are those that are not the state. Beside a package, user and target
// are expressions: PostgreSQL shall not take the index of a user's many instead.
func (f *Filter) conditions() []condition {
	var all []condition
	hidden := ""
	if f.Package != "" {
		all, hidden = append(all, condition{"package", f.Package}), " || ''"
	}
	if f.User != "" {
		all = append(all, condition{"username" + hidden, f.User})
	}
	if f.Target != "" {
		all = append(all, condition{"target" + hidden, f.Target})
	}
	return all
}

// states are those to look in, each once.
func (f *Filter) states() []plague.JobState {
	if len(f.States) == 0 {
		return plague.JobStates()
	}
	return slices.DeleteFunc(plague.JobStates(), func(s plague.JobState) bool { return !slices.Contains(f.States, s) })
}

// ordered reads what is to come from indexes in their own order.
type ordered struct{ reader }

// inOrder has PostgreSQL walk the index that is in a list's order. What its
// statistics do not know yet, such as a mass rebuild of the last hour, it takes
// for little, and would rather read and sort all of it.
const inOrder = `SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)`

// by says the same to SQLite: the index to take, or no plan at all.
func (db *DB) by(index string) string {
	if db.pg {
		return ""
	}
	return " INDEXED BY " + index
}

func (o ordered) query(query string, args ...any) (*sql.Rows, func(), error) {
	if !o.db.pg {
		return o.reader.query(query, args...)
	}
	if err := errors.Join(o.db.ask(inOrder), o.db.ask(query)); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(o.ctx, readTime)
	rows, tx, err := o.within(ctx, query, args)
	done := func() {
		if tx != nil {
			tx.Rollback() // it has only read
		}
		cancel()
	}
	if err != nil {
		done()
	}
	return rows, done, err
}

// within reads in a transaction: with it what inOrder sets ends.
func (o ordered) within(ctx context.Context, query string, args []any) (*sql.Rows, *sql.Tx, error) {
	tx, err := o.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	if _, err := tx.ExecContext(ctx, inOrder); err != nil {
		return nil, tx, err
	}
	rows, err := tx.QueryContext(ctx, query, args...)
	return rows, tx, err
}
