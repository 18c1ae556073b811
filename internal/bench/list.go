package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
)

const (
	pageSize   = 50
	listRounds = 200
)

// lists measures pages of a long history, as the call answers them and, beside
// it, what of that the database takes.
func (b *Bench) lists(ctx context.Context) ([]Figure, error) {
	databases := []struct{ name, dsn string }{{"SQLite", ""}}
	if b.Postgres != "" {
		databases = append(databases, struct{ name, dsn string }{"PostgreSQL", b.Postgres})
	}
	var figures []Figure
	for _, d := range databases {
		err := b.with(ctx, Shape{Database: d.dsn, History: b.Jobs}, func(f *Farm) error {
			fs, err := f.pages(ctx, d.name, b.Jobs)
			figures = append(figures, fs...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return figures, nil
}

func (f *Farm) pages(ctx context.Context, name string, jobs int) ([]Figure, error) {
	c, err := f.Client()
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, f.Database, store.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	middle := plague.JobID(jobs/2 + 1)
	var figures []Figure
	for _, page := range []struct {
		what  string
		call  func() (int, error)
		query func() (int, error)
	}{
		{"newest 50", func() (int, error) { return listed(c.Jobs(ctx, wire.ListFilter{Maxrows: pageSize})) },
			func() (int, error) { return stored(ctx, db, store.Filter{Limit: pageSize}) }},
		{"middle 50", func() (int, error) { return listed(c.Jobs(ctx, wire.ListFilter{Maxrows: pageSize, Before: middle})) },
			func() (int, error) { return stored(ctx, db, store.Filter{Limit: pageSize, Before: middle}) }},
		{"total", func() (int, error) { return total(c.Counts(ctx)) }, func() (int, error) { return total(db.Counts(ctx)) }},
	} {
		want := pageSize
		if page.what == "total" {
			want = jobs
		}
		calls, err := timed(page.call, want)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", page.what, err)
		}
		queries, err := timed(page.query, want)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", page.what, err)
		}
		value := spread(calls)
		value["database_p50"] = ms(quantile(queries, 0.5))
		figures = append(figures, Figure{What: fmt.Sprintf("list at %s jobs, %s: %s", thousands(jobs), name, page.what), Value: value, Unit: "ms", Aim: "2"})
	}
	return figures, nil
}

// timed makes a call again and again; an answer of another size would measure
// something else.
func timed(call func() (int, error), want int) ([]time.Duration, error) {
	var all []time.Duration
	for range listRounds {
		at := time.Now()
		n, err := call()
		if err != nil {
			return nil, err
		}
		if n != want {
			return nil, fmt.Errorf("it answers %d, not %d", n, want)
		}
		all = append(all, time.Since(at))
	}
	return all, nil
}

func listed[T any](page []T, err error) (int, error) { return len(page), err }

// stored reads what a page shows: jobs and their arch jobs.
func stored(ctx context.Context, db *store.DB, f store.Filter) (int, error) {
	jobs, err := db.Jobs(ctx, f)
	if err != nil {
		return 0, err
	}
	uids := make([]plague.JobID, len(jobs))
	for i, j := range jobs {
		uids[i] = j.UID
	}
	_, err = db.ArchJobsOf(ctx, uids)
	return len(jobs), err
}

func total[S comparable, N int | int64](counts map[S]N, err error) (int, error) {
	n := 0
	for _, c := range counts {
		n += int(c)
	}
	return n, err
}

// thousands is 1000000 as 1,000,000.
func thousands(n int) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
