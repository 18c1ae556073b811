package store

import (
	"context"
	"time"

	"plague"
)

// LastGood finds the newest arch job before one that built the same package for the
// same target and arch; plague.ErrNotFound: there is none.
func (db *DB) LastGood(ctx context.Context, j plague.Job, before plague.ArchJob) (plague.ArchJob, plague.Job, error) {
	fields, a := archFields()
	more, good := jobFields()
	err := db.row(ctx, `SELECT `+prefixed("a", archColumns)+`, `+prefixed("j", jobColumns)+` FROM jobs AS j JOIN arch_jobs AS a ON a.uid = j.uid
		WHERE j.package = $1 AND j.target = $2 AND a.kind = 'build' AND a.arch = $3 AND a.state = 'done' AND a.id < $4
		ORDER BY j.uid DESC, a.id DESC LIMIT 1`, j.Package, j.Target, before.Arch, before.ID).Scan(append(fields, more...)...)
	if err != nil {
		return plague.ArchJob{}, plague.Job{}, db.trouble(err)
	}
	return a(), good(), nil
}

// recent is how far back a farm's history says how long builds take.
const recent = 2000

// Durations are how long the attempts took that ended well among the newest arch jobs,
// by arch.
func (db *DB) Durations(ctx context.Context) (map[string][]time.Duration, error) {
	type took struct {
		arch string
		us   int64
	}
	all, err := collect(reader{ctx, db}, func(r row) (t took, err error) { return t, r.Scan(&t.arch, &t.us) },
		`SELECT a.arch, t.ended_at - t.begun_at FROM (SELECT id, arch, attempt FROM arch_jobs WHERE state = 'done' ORDER BY id DESC LIMIT $1) AS a
			JOIN attempts AS t ON t.arch_job = a.id AND t.number = a.attempt WHERE t.outcome = 'done'`, recent)
	of := map[string][]time.Duration{}
	for _, t := range all {
		of[t.arch] = append(of[t.arch], time.Duration(t.us)*time.Microsecond)
	}
	return of, db.trouble(err)
}
