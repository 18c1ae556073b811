package store

import (
	"context"
	"fmt"
	"time"

	"plague"
)

// historyBatch is how many jobs of the past one statement makes: few enough for
// the time of one commit, also on a busy machine.
const historyBatch = 5_000

// AddHistory fills a farm with n jobs of the past for one target, each with one
// arch job: what `plague bench` measures lists on. They are made by the
// database itself, in bulk, and leave no events, attempts or files. A farm that
// has jobs already is plague.ErrConflict.
func (db *DB) AddHistory(ctx context.Context, now time.Time, target, arch string, n int) error {
	jobs, err := db.Jobs(ctx, Filter{Limit: 1})
	if err != nil {
		return err
	}
	if len(jobs) > 0 {
		return plague.Refuse(plague.ErrConflict, "the database has jobs already", "a history is made in an empty one")
	}
	for from := 1; from <= n; from += historyBatch {
		to := min(n, from+historyBatch-1)
		err := db.update(ctx, func(tx *tx) error { return tx.history(now, target, arch, from, to, n) })
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	return db.analyze(ctx)
}

// history makes jobs from to to of n: one each minute up to now, 20,000
// packages, 50 users, one in 25 failed.
func (tx *tx) history(now time.Time, target, arch string, from, to, n int) error {
	const numbers = `WITH RECURSIVE n (i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $2)
		`
	const at = `$3 - ($4 - i) * 60000000`
	for _, s := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO jobs (uid, username, package, source, srpm, srpm_size, target, state, scratch, after_uid, priority, epoch, version, release, reason,
			submitted_at, queued_at, begun_at, ended_at, state_at) ` + numbers + `SELECT i, 'packager' || (i % 50) || '@example.com', 'package' || (i % 20000),
			'package' || (i % 20000) || '-' || i || '-1.src.rpm', 'digest' || i, 100000, CAST($5 AS TEXT),
			CASE WHEN i % 25 = 0 THEN 'failed' ELSE 'needsign' END, 0, 0, 0, '0', CAST(i AS TEXT), '1', '', ` + at + `, ` + at + `, ` + at + `, ` + at + `, ` + at + ` FROM n`,
			[]any{from, to, us(now), n, target}},
		{`INSERT INTO arch_jobs (uid, run, kind, arch, state, attempt, token, builder, phase, queued_at, begun_at, ended_at, state_at) ` +
			numbers + `SELECT i, 1, 'build', CAST($5 AS TEXT), CASE WHEN i % 25 = 0 THEN 'failed' ELSE 'done' END, 1, 'token', 'builder' || (i % 9), 'done',
			` + at + `, ` + at + `, ` + at + `, ` + at + ` FROM n`,
			[]any{from, to, us(now), n, arch}},
		{`INSERT INTO job_counts (state, shard, n) ` + numbers + `SELECT CASE WHEN i % 25 = 0 THEN 'failed' ELSE 'needsign' END AS state, i % 16 AS shard, COUNT(*)
			FROM n GROUP BY 1, 2 ON CONFLICT (state, shard) DO UPDATE SET n = job_counts.n + excluded.n`, []any{from, to}},
	} {
		if _, err := tx.exec(s.query, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// analyze lets the database see how large it has become, and on PostgreSQL
// moves the next uid behind those that were given by hand.
func (db *DB) analyze(ctx context.Context) error {
	statements := []string{`ANALYZE`}
	if db.pg {
		statements = append(statements, `SELECT setval(pg_get_serial_sequence('jobs', 'uid'), (SELECT MAX(uid) FROM jobs))`)
	}
	for _, s := range statements {
		if _, err := db.write.ExecContext(ctx, s); err != nil {
			return db.trouble(err)
		}
	}
	return nil
}
