package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"plague"
)

// NoArch fails a job in prep that no arch is left for. The decisions are kept as
// those of any other.
func (db *DB) NoArch(ctx context.Context, t Term, at time.Time, uid plague.JobID, run int, ds []plague.Decision, reason string) error {
	return db.lead(ctx, t, func(tx *tx) error {
		j, err := tx.inPrep(uid, run)
		if err != nil {
			return err
		}
		if err := tx.decided(at, uid, ds); err != nil {
			return err
		}
		tx.wake(TopicJobs) // those that wait for it
		return tx.move(at, j, plague.JobFailed, "", reason)
	})
}

func (tx *tx) decided(at time.Time, uid plague.JobID, ds []plague.Decision) error {
	return tx.event(plague.Event{At: at, Job: uid, What: "arches", To: strings.Join(plague.BuiltArches(ds), " "), Text: plague.DecisionsText(ds)})
}

// Decisions says which rule added or dropped each arch of a job, in the newest run
// that has come so far; none: no run has.
func (db *DB) Decisions(ctx context.Context, uid plague.JobID) ([]plague.Decision, error) {
	e, err := scanEvent(db.row(ctx, `SELECT `+eventColumns+` FROM events WHERE uid = $1 AND what = 'arches' ORDER BY id DESC LIMIT 1`, uid))
	if err = db.trouble(err); errors.Is(err, plague.ErrNotFound) {
		return nil, nil
	}
	return plague.DecisionsOf(e), err
}
