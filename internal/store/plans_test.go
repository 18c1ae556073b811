package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// past fills a farm with jobs that have ended, with their events and RPMs, and
// with a little of everything that is alive.
func (f *farm) past(n int) {
	f.t.Helper()
	f.bulk = true
	f.must(f.AddHistory(f.ctx, f.now, target, "x86_64", n))
	db := f.raw()
	id, numbers := "i", `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
	if f.Postgres() {
		id, numbers = "nextval('event_ids')", `WITH n AS (SELECT generate_series(1, %d) AS i) `
	}
	for _, query := range []string{
		`INSERT INTO events (id, at, uid, arch_job, what, old_state, new_state, who, text) ` + numbers + `SELECT ` + id + `, 1, i, 0, 'history', '', '', '', '' FROM n`,
		`INSERT INTO members (target, line, uid, name, epoch, version, release, arch, arches, file, digest, size, from_number) ` + numbers +
			`SELECT '` + target + `', 'build', i, 'package' || (i % 20000), 0, CAST(i AS TEXT), '1', 'x86_64', 'x86_64', 'f' || i, 'd' || i, 1, 1 FROM n WHERE i % 25 <> 0`,
		`INSERT INTO snapshots (target, line, number, parent, at) VALUES ('` + target + `', 'build', 1, 0, 1)`,
		`INSERT INTO pointers (target, line, number) VALUES ('` + target + `', 'build', 1)`,
		`UPDATE jobs SET snapshot = 1 WHERE state = 'needsign'`,
		`INSERT INTO pins (uid, run, snapshot) SELECT uid, run, 1 FROM jobs`,
		`INSERT INTO attempts (arch_job, number, token, builder, begun_at, ended_at, outcome) SELECT id, 1, token, builder, begun_at, ended_at, 'done' FROM arch_jobs`,
	} {
		_, err := db.ExecContext(f.ctx, strings.Replace(query, "%d", fmt.Sprint(n), 1))
		f.must(err)
	}
	for i := range 40 {
		j := newJob(fmt.Sprint("alive", i), "1")
		if i%4 == 3 {
			j.After = plague.JobID(n + 1)
		}
		uid := f.submit(j)
		switch i % 4 {
		case 0:
			f.build(uid, "x86_64", "aarch64")
		case 1:
			f.assign(f.build(uid, "x86_64")[0].ID, "b1")
		case 2:
			f.end(f.assign(f.build(uid, "x86_64")[0].ID, "b2"), "b2", nil)
		}
	}
	f.statistics(true)
}

// statistics says whether the database knows how its tables look. PostgreSQL
// finds that out by itself, SQLite does not.
func (f *farm) statistics(known bool) {
	f.t.Helper()
	query := `ANALYZE`
	if !known {
		query = `DELETE FROM sqlite_stat1`
	}
	_, err := f.raw().ExecContext(f.ctx, query)
	f.must(err)
}

// hot are the reads that a farm makes all the time.
func hot(f *farm, n int) []hotRead {
	ctx, middle := f.ctx, plague.JobID(n/2)
	return []hotRead{
		{"ReadyUsers", nil, func(db *store.DB) error { _, err := db.ReadyUsers(ctx); return err }},
		{"ReadyOf", []any{"dev@example.com", 50}, func(db *store.DB) error { _, err := db.ReadyOf(ctx, "dev@example.com", 50); return err }},
		{"Doomed", []any{50}, func(db *store.DB) error { _, err := db.Doomed(ctx, 50); return err }},
		{"JobsIn", []any{0, 50}, func(db *store.DB) error { _, err := db.JobsIn(ctx, plague.JobBuilding, 0, 50); return err }},
		{"Queued", []any{0, 100}, func(db *store.DB) error { _, err := db.Queued(ctx, 0, 100); return err }},
		{"Troubled", []any{0, 100}, func(db *store.DB) error { _, err := db.Troubled(ctx, 0, 100); return err }},
		{"QueuedOf", []any{100, "package7", "package8"}, func(db *store.DB) error {
			_, err := db.QueuedOf(ctx, []string{"package7", "package8"}, 100)
			return err
		}},
		{"Held by one", []any{"b1"}, func(db *store.DB) error { _, err := db.Held(ctx, "b1"); return err }},
		{"Held by all", []any{""}, func(db *store.DB) error { _, err := db.Held(ctx, ""); return err }},
		{"PublishTargets", nil, func(db *store.DB) error { _, err := db.PublishTargets(ctx); return err }},
		{"ToPublish", []any{target}, func(db *store.DB) error { _, err := db.ToPublish(ctx, target); return err }},
		{"ToRetire", []any{target}, func(db *store.DB) error { _, err := db.ToRetire(ctx, target); return err }},
		{"Retirement", []any{n / 2}, func(db *store.DB) error { _, err := db.Retirement(ctx, middle); return err }},
		{"PinnedSnapshots", []any{target}, func(db *store.DB) error { _, err := db.PinnedSnapshots(ctx, target); return err }},
		{"Owner", []any{target, "build", "package7", "7", "1", "x86_64"}, func(db *store.DB) error {
			_, _, err := db.Owner(ctx, target, plague.LineBuild, plague.RepoRPM{Name: "package7", Vers: "7", Rel: "1", Arch: "x86_64"})
			return err
		}},
		{"Events", []any{n, n + 100, 100}, func(db *store.DB) error { _, err := db.Events(ctx, plague.EventID(n), 100); return err }},
		{"EventsOf", []any{n / 2, 5, n + 100, 100}, func(db *store.DB) error { _, err := db.EventsOf(ctx, middle, 5, 100); return err }},
		{"JobEvents", []any{n / 2}, func(db *store.DB) error { _, err := db.JobEvents(ctx, middle); return err }},
		{"LastGood", []any{"package7", target, "x86_64", n / 2}, func(db *store.DB) error {
			_, _, err := db.LastGood(ctx, plague.Job{Package: "package7", Target: target}, plague.ArchJob{ID: plague.ArchJobID(n / 2), Arch: "x86_64"})
			return err
		}},
		{"Decisions", []any{n / 2}, func(db *store.DB) error { _, err := db.Decisions(ctx, middle); return err }},
		{"Uploaded", []any{"dev@example.com", ""}, func(db *store.DB) error { _, err := db.Uploaded(ctx, "dev@example.com"); return err }},
		{"Referenced", []any{digest("x")}, func(db *store.DB) error { _, err := db.Referenced(ctx, digest("x")); return err }},
		{"PastOf", []any{"builder1", 0, 20}, func(db *store.DB) error { _, err := db.PastOf(ctx, "builder1", time.Time{}, 20); return err }},
		{"Counts", nil, func(db *store.DB) error { _, err := db.Counts(ctx); return err }},
	}
}

type hotRead struct {
	name string
	args []any // of its first statement that has a plan
	read func(db *store.DB) error
}

// TestPlans: what is read all the time goes through an index and sorts no
// history, with 20,000 jobs of the past.
func TestPlans(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		const n = 20_000
		f.past(n)
		f.plans(n)
		if !f.Postgres() {
			f.statistics(false)
			f.plans(n)
		}
	})
}

func (f *farm) plans(n int) {
	f.t.Helper()
	db := f.tap()
	raw := f.raw()
	raw.SetMaxOpenConns(1)
	for _, h := range hot(f, n) {
		var query string
		db.set(func(op string) error {
			if op != "SELECT settled_event()" && !strings.HasPrefix(op, "SELECT COALESCE(MAX(id), 0) FROM events") && query == "" {
				query = op
			}
			return nil
		})
		f.must(h.read(db.DB))
		plan := f.plan(raw, query, h.args)
		if bad := wasteful.FindString(plan); bad != "" {
			f.t.Errorf("%s: %q in the plan of\n%s\n%s", h.name, bad, query, plan)
		}
	}
}

// wasteful is what no plan may have: a table that grows read from end to end,
// or sorted.
var wasteful = regexp.MustCompile(`Seq Scan on (jobs|arch_jobs|events|members|attempts|pins)|Bitmap Heap Scan on (jobs|events)|` +
	`SCAN (a|j|m|p|t|jobs|arch_jobs|events|members|attempts|pins)\b`)

func (f *farm) plan(db *sql.DB, query string, args []any) string {
	f.t.Helper()
	if !f.Postgres() {
		return f.lines(db, "EXPLAIN QUERY PLAN "+query, args...)
	}
	literals := ""
	if len(args) > 0 {
		var parts []string
		for _, a := range args {
			if s, ok := a.(string); ok {
				a = "'" + s + "'"
			}
			parts = append(parts, fmt.Sprint(a))
		}
		literals = "(" + strings.Join(parts, ", ") + ")"
	}
	exec := func(statement string) {
		f.t.Helper()
		if _, err := db.ExecContext(f.ctx, statement); err != nil {
			f.t.Fatalf("%v: %s", err, statement)
		}
	}
	exec("PREPARE hot AS " + query)
	for range 7 { // from the sixth on PostgreSQL may take a plan for any argument
		exec("EXECUTE hot" + literals)
	}
	plan := f.lines(db, "EXPLAIN EXECUTE hot"+literals)
	exec("DEALLOCATE hot")
	return plan
}

func (f *farm) lines(db *sql.DB, query string, args ...any) string {
	f.t.Helper()
	rows, err := db.QueryContext(f.ctx, query, args...)
	f.must(err)
	defer rows.Close()
	columns, err := rows.Columns()
	f.must(err)
	var all []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		f.must(rows.Scan(into...))
		all = append(all, values[len(values)-1].String)
	}
	f.must(rows.Err())
	return strings.Join(all, "\n")
}

// BenchmarkReads is what the hot reads cost after a million jobs.
func BenchmarkReads(b *testing.B) {
	const n = 1_000_000
	for _, name := range []string{"sqlite", "postgres"} {
		b.Run(name, func(b *testing.B) {
			f := benchFarm(b, name)
			f.past(n)
			reads := append(hot(f, n), hotRead{"ClaimDownload", nil, func(db *store.DB) error {
				d, err := storetest.Only(db.ClaimDownloads(f.ctx, f.now, "test", time.Minute, 1, 100))
				if err != nil || d == nil {
					return err
				}
				return db.DownloadLater(f.ctx, d, "test", f.now, false, "busy")
			}})
			for _, h := range reads {
				b.Run(h.name, func(b *testing.B) {
					for b.Loop() {
						f.must(h.read(f.DB))
					}
				})
			}
		})
	}
}

func benchFarm(b *testing.B, name string) *farm {
	b.Helper()
	f := &farm{t: b, ctx: context.Background(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), name: b.TempDir() + "/farm.db"}
	if name == "postgres" {
		f.name = durable(b)
	}
	f.DB = f.open(store.Options{})
	term, err := f.Acquire(f.ctx, "test", time.Hour)
	f.must(err)
	f.term = term
	return f
}
