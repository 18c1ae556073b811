package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"plague"
)

// Checkout takes a job without an SRPM from initialize to checkout: pinned, and with
// one queued arch job that makes it in a buildroot of any of the arches. It is pinned again at Build: the buildroot of
// rpmbuild -bs is not the build's.
func (db *DB) Checkout(ctx context.Context, t Term, at time.Time, uid plague.JobID, run int, roots []string, pin plague.Pin) error {
	return db.lead(ctx, t, func(tx *tx) error {
		j, err := tx.locked(uid)
		if err != nil {
			return err
		}
		if j.Run != run || j.State != plague.JobInitialize {
			return fmt.Errorf("%w: job %d is no longer in initialize", plague.ErrConflict, uid)
		}
		if err := tx.pin(uid, run, pin); err != nil {
			return err
		}
		if err := tx.move(at, j, plague.JobCheckout, "", ""); err != nil {
			return err
		}
		tx.wake(TopicQueue)
		return tx.queue(at, uid, run, plague.KindSRPM, plague.ArchSource, roots)
	})
}

// Fetched takes in what an attempt at a job's source has fetched, and that the SRPM
// is being made of it.
func (db *DB) Fetched(ctx context.Context, t Term, at time.Time, id plague.AttemptID, builder string, p *plague.Pinned) error {
	return db.lead(ctx, t, func(tx *tx) error {
		a, j, err := tx.heldWithJob(id, builder)
		if err != nil {
			return err
		}
		if a.Kind != plague.KindSRPM {
			return fmt.Errorf("%w: arch job %d makes no SRPM", plague.ErrConflict, a.ID)
		}
		if p != nil {
			_, err := tx.exec(`INSERT INTO sources (uid, run, kind, url, revision, tree) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (uid, run) DO UPDATE SET kind = excluded.kind, url = excluded.url, revision = excluded.revision, tree = excluded.tree`,
				j.UID, a.Run, p.Kind, p.URL, p.Revision, p.Tree)
			if err != nil {
				return err
			}
		}
		if j.State != plague.JobCheckout {
			return nil
		}
		return tx.move(at, j, plague.JobMakeSRPM, "", "")
	})
}

// Source says what a run's source was made of; nil: nothing was fetched for it.
func (db *DB) Source(ctx context.Context, uid plague.JobID, run int) (*plague.Pinned, error) {
	var p plague.Pinned
	err := db.row(ctx, `SELECT kind, url, revision, tree FROM sources WHERE uid = $1 AND run = $2`, uid, run).Scan(&p.Kind, &p.URL, &p.Revision, &p.Tree)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &p, db.trouble(err)
}

// madeSRPM takes in the source package that an arch job has made. A version that the
// target has already fails the job.
func (tx *tx) madeSRPM(at time.Time, j plague.Job, f JobFile) (plague.Job, error) {
	e, v, r := fmt.Sprint(f.RPM.Epoch), f.RPM.Version, f.RPM.Release
	if !j.Scratch {
		err := tx.newVersion(j.Target, j.Package, e, v, r)
		if errors.Is(err, plague.ErrConflict) {
			tx.wake(TopicJobs)
			err = tx.move(at, j, plague.JobFailed, "", err.Error())
			j.State = plague.JobFailed
		}
		if err != nil {
			return j, err
		}
	}
	_, err := tx.exec(`UPDATE jobs SET srpm = $1, srpm_size = $2, epoch = $3, version = $4, release = $5 WHERE uid = $6`, f.Digest, f.Size, e, v, r, j.UID)
	return j, err
}

// sourceEnded ends the making of a run's SRPM: on to prep, or failed.
func (tx *tx) sourceEnded(at time.Time, j plague.Job, failures []string) error {
	tx.wake(TopicJobs)
	if len(failures) > 0 {
		return tx.move(at, j, plague.JobFailed, "", strings.Join(failures, "\n"))
	}
	if j.State == plague.JobCheckout {
		if err := tx.move(at, j, plague.JobMakeSRPM, "", ""); err != nil {
			return err
		}
		j.State = plague.JobMakeSRPM
	}
	return tx.move(at, j, plague.JobPrep, "", "")
}
