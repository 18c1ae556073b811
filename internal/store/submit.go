package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"plague"
)

// NewJob is what a user submits, checked by the server.
type NewJob struct {
	User, Package, Source   string
	SRPM                    string // SHA-256; its bytes are in the artifact store. "": Source is a tag, and it is to be made
	SRPMSize                int64
	Target                  string
	Scratch                 bool
	After                   plague.JobID
	Priority                int
	Epoch, Version, Release string
}

// what is what is to be built, as far as it is known.
func (n *NewJob) what() string {
	if n.Version == "" {
		return n.Package + " " + n.Source
	}
	return n.Package + "-" + n.Version + "-" + n.Release
}

// Submit inserts a job in waiting. The same version of a package in progress
// or published in the target, and a predecessor that can never be published,
// are refused; an SRPM that no upload and no job holds is ErrNotFound: it has
// to be uploaded again.
func (db *DB) Submit(ctx context.Context, at time.Time, n NewJob) (plague.JobID, error) {
	var uid plague.JobID
	err := db.update(ctx, func(tx *tx) error {
		if n.SRPM != "" {
			if err := tx.srpmHeld(n.SRPM); err != nil {
				return err
			}
		}
		if err := tx.canWaitFor(n.After); err != nil {
			return err
		}
		if !n.Scratch {
			if err := tx.newVersion(n.Target, n.Package, n.Epoch, n.Version, n.Release); err != nil {
				return err
			}
		}
		err := tx.row(`INSERT INTO jobs (username, package, source, srpm, srpm_size, target, state, scratch, after_uid, priority, epoch, version, release, submitted_at, queued_at, state_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $14) RETURNING uid`,
			n.User, n.Package, n.Source, n.SRPM, n.SRPMSize, n.Target, plague.JobWaiting, flag(n.Scratch), n.After, n.Priority,
			n.Epoch, n.Version, n.Release, us(at)).Scan(&uid)
		if err != nil {
			return err
		}
		tx.count(uid, "", plague.JobWaiting)
		tx.wake(TopicJobs)
		return tx.event(plague.Event{At: at, Job: uid, What: "job", To: string(plague.JobWaiting), Who: n.User,
			Text: fmt.Sprintf("%s for %s", n.what(), n.Target)})
	})
	return uid, db.twice(ctx, err, n.Target, n.Package, n.Epoch, n.Version, n.Release)
}

// twice names the job that took a version in the same moment: the index
// decided between the two.
func (db *DB) twice(ctx context.Context, err error, target, pkg, epoch, version, release string) error {
	if !duplicate(err) {
		return err
	}
	err = db.update(ctx, func(tx *tx) error { return tx.newVersion(target, pkg, epoch, version, release) })
	if err == nil {
		err = fmt.Errorf("%w: the same version was just submitted by somebody else", plague.ErrConflict)
	}
	return err
}

// srpmHeld makes sure that housekeeping does not delete the SRPM: a reference
// exists in this transaction. An upload's row is held on PostgreSQL, or
// DropUploads could delete it at the same time without seeing the job.
func (tx *tx) srpmHeld(digest string) error {
	held, err := collect(tx, text, `SELECT digest FROM uploads WHERE digest = $1`+tx.db.forShare(), digest)
	if err != nil || len(held) > 0 {
		return err
	}
	used, err := referenced(tx, digest)
	if err == nil && !used {
		err = plague.Refuse(plague.ErrNotFound, "the SRPM is not on the server", "upload it again")
	}
	return err
}

func (tx *tx) canWaitFor(after plague.JobID) error {
	if after == 0 {
		return nil
	}
	j, err := scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE uid = $1`, after))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return plague.Refuse(plague.ErrNotFound, fmt.Sprintf("there is no job %d to wait for", after), "")
	case err != nil:
		return err
	case j.Scratch:
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("job %d is a scratch job and will never be published", after), "wait for another job")
	case j.State.Requeueable():
		return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d is %s", after, j.State), "requeue it first, or wait for another job")
	}
	return nil
}

// newVersion refuses a version that a target has already.
func (tx *tx) newVersion(target, pkg, epoch, version, release string) error {
	if version == "" {
		return nil
	}
	j, err := scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE target = $1 AND package = $2 AND epoch = $3 AND version = $4 AND release = $5
		AND version <> '' AND scratch = 0 AND state NOT IN ('failed', 'killed')`, target, pkg, epoch, version, release))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return plague.Refuse(plague.ErrConflict, fmt.Sprintf("%s is job %d in %s already (%s)", j.NVR(), j.UID, target, j.State),
		"raise the release, or kill that job; a scratch build is always possible")
}

// Requeue begins another run of a failed or killed job.
func (db *DB) Requeue(ctx context.Context, at time.Time, who string, uid plague.JobID) error {
	var j plague.Job
	err := db.update(ctx, func(tx *tx) (err error) {
		if j, err = tx.locked(uid); err != nil {
			return err
		}
		if !j.State.Requeueable() {
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d is %s", uid, j.State), "only failed and killed jobs can be requeued")
		}
		if !j.Scratch {
			if err := tx.newVersion(j.Target, j.Package, j.Epoch, j.Version, j.Release); err != nil {
				return err
			}
		}
		n, err := tx.exec(`UPDATE jobs SET state = $1, run = run + 1, state_at = $2, queued_at = $2, begun_at = 0, ended_at = 0, reason = ''
			WHERE uid = $3 AND run = $4 AND state = $5`, plague.JobWaiting, us(at), uid, j.Run, j.State)
		if err := changed(n, err, "job %d is no longer %s", uid, j.State); err != nil {
			return err
		}
		tx.count(uid, j.State, plague.JobWaiting)
		tx.wake(TopicJobs)
		return tx.event(plague.Event{At: at, Job: uid, What: "job", From: string(j.State), To: string(plague.JobWaiting), Who: who, Text: fmt.Sprintf("run %d", j.Run+1)})
	})
	return db.twice(ctx, err, j.Target, j.Package, j.Epoch, j.Version, j.Release)
}

// Referenced says whether anything names an artifact.
func (db *DB) Referenced(ctx context.Context, digest string) (bool, error) {
	used, err := referenced(reader{ctx, db}, digest)
	return used, db.trouble(err)
}

func referenced(q querier, digest string) (bool, error) {
	found, err := collect(q, text, `SELECT 'u' FROM uploads WHERE digest = $1 UNION ALL SELECT 'j' FROM jobs WHERE srpm = $1
		UNION ALL SELECT 'f' FROM job_files WHERE digest = $1 UNION ALL SELECT 'm' FROM members WHERE digest = $1 LIMIT 1`, digest)
	return len(found) > 0, err
}
