package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"plague"
)

// Script says how far a target's repository script is.
type Script struct {
	Target   string
	Snapshot int64 // the newest one that it has run for; 0: none
	Failing  bool  // its last run failed
}

// Script gives how far a target's repository script is. One that never ran is at 0.
func (db *DB) Script(ctx context.Context, target string) (Script, error) {
	s := Script{Target: target}
	err := db.row(ctx, `SELECT snapshot, failing FROM scripts WHERE target = $1`, target).Scan(&s.Snapshot, &s.Failing)
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil
	}
	return s, db.trouble(err)
}

// RanScript writes down how a run of a repository script ended, with an event, whose
// text is "<target>: <said>", said being what went wrong and what it printed. Of
// failures in a row the first makes an event: it is tried again until it is done.
func (db *DB) RanScript(ctx context.Context, t Term, at time.Time, s Script, said string) error {
	return db.lead(ctx, t, func(tx *tx) error {
		n, err := tx.exec(`UPDATE scripts SET snapshot = $1, failing = $2 WHERE target = $3 AND (failing = 0 OR $2 = 0)`, s.Snapshot, flag(s.Failing), s.Target)
		if err == nil && n == 0 {
			n, err = tx.exec(`INSERT INTO scripts (target, snapshot, failing) VALUES ($1, $2, $3) ON CONFLICT (target) DO NOTHING`, s.Target, s.Snapshot, flag(s.Failing))
		}
		if err != nil || n == 0 { // it fails again
			return err
		}
		to := "done"
		if s.Failing {
			to = "failed"
		}
		return tx.event(plague.Event{At: at, What: "repo_script", To: to, Text: s.Target + ": " + said})
	})
}
