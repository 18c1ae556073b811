package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"plague"
)

// Retired says that a published job's RPMs leave their repository.
type Retired struct {
	Job      plague.JobID
	At       time.Time
	Who      string // user who asked for it
	Why      string // for people; may be empty
	Snapshot int64  // the first one without them; 0: it is not there yet
}

// Retire asks for a published job's RPMs to leave their repository: the next
// snapshot is without them, those that are there stay as they are. The job keeps
// its state and its NVR. One that is not published, or is retired already, is
// plague.ErrConflict.
func (db *DB) Retire(ctx context.Context, at time.Time, who string, uid plague.JobID, why string) error {
	return db.update(ctx, func(tx *tx) error {
		j, err := tx.locked(uid)
		if err != nil {
			return err
		}
		if !j.State.Published() {
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d is %s", uid, j.State), "only published jobs can be retired; `plague kill` stops the others")
		}
		n, err := tx.exec(`INSERT INTO retired (uid, target, at, who, why) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (uid) DO NOTHING`, uid, j.Target, us(at), who, why)
		if err != nil {
			return err
		}
		if n == 0 {
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d is retired already", uid), "")
		}
		tx.wake(TopicPublish)
		return tx.event(plague.Event{At: at, Job: uid, What: "retire", From: string(j.State), To: string(j.State), Who: who, Text: why})
	})
}

// ToRetire lists the jobs of a target whose RPMs are to leave it, by uid.
func (db *DB) ToRetire(ctx context.Context, target string) ([]plague.JobID, error) {
	uids, err := collect(reader{ctx, db}, scanUID, `SELECT uid FROM retired WHERE target = $1 AND snapshot = 0 ORDER BY uid`, target)
	return uids, db.trouble(err)
}

func scanUID(r row) (plague.JobID, error) {
	var uid plague.JobID
	err := r.Scan(&uid)
	return uid, err
}

// Retirement says when and why a job was retired; nil: it was not.
func (db *DB) Retirement(ctx context.Context, uid plague.JobID) (*Retired, error) {
	r := Retired{Job: uid}
	var at int64
	err := db.row(ctx, `SELECT at, who, why, snapshot FROM retired WHERE uid = $1`, uid).Scan(&at, &r.Who, &r.Why, &r.Snapshot)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	r.At = timeOf(at)
	return &r, db.trouble(err)
}

// PublishWithout makes a snapshot true that lacks the RPMs of retired jobs: its row,
// the pointer from the one before to it, and the end of their membership, in one
// transaction. If the pointer has moved, or one is not to be retired any more,
// nothing is done: ErrConflict.
func (db *DB) PublishWithout(ctx context.Context, t Term, at time.Time, s plague.Snapshot, uids []plague.JobID) error {
	return db.lead(ctx, t, func(tx *tx) error {
		if err := tx.advance(at, s); err != nil {
			return err
		}
		for _, uid := range uids {
			n, err := tx.exec(`UPDATE retired SET snapshot = $1 WHERE uid = $2 AND target = $3 AND snapshot = 0`, s.Number, uid, s.Target)
			if err := changed(n, err, "job %d does not wait to be retired", uid); err != nil {
				return err
			}
			if _, err := tx.exec(`UPDATE members SET until_number = $1 WHERE target = $2 AND line = $3 AND uid = $4 AND until_number = 0`, s.Number, s.Target, s.Line, uid); err != nil {
				return err
			}
		}
		return nil
	})
}
