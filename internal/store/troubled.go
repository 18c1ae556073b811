package store

import (
	"context"

	"plague"
)

// Troubled gives the builders that lost queued arch jobs, or had trouble with them that
// was not the package's, by arch job: of those after one id and up to another, that met
// with it more than once.
func (db *DB) Troubled(ctx context.Context, after, last plague.ArchJobID) (map[plague.ArchJobID][]string, error) {
	type met struct {
		id      plague.ArchJobID
		builder string
	}
	all, err := collect(reader{ctx, db}, func(r row) (m met, err error) {
		return m, r.Scan(&m.id, &m.builder)
	}, `SELECT DISTINCT t.arch_job, t.builder FROM arch_jobs AS a JOIN attempts AS t ON t.arch_job = a.id
		WHERE a.state = 'queued' AND a.id > $1 AND a.id <= $2 AND a.lost + a.infra > 1 AND t.outcome IN ('lost', 'infrastructure') ORDER BY t.arch_job, t.builder`, after, last)
	by := map[plague.ArchJobID][]string{}
	for _, m := range all {
		by[m.id] = append(by[m.id], m.builder)
	}
	return by, db.trouble(err)
}
