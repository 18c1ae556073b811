package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"plague"
)

// Ready lists waiting jobs that may start: the farm is not paused, and the job
// each waits for is published. Each user has a like
// share of the limit: who waits with thousands holds up nobody who waits with one.
func (db *DB) Ready(ctx context.Context, limit int) ([]plague.Job, error) {
	users, err := db.ReadyUsers(ctx)
	if err != nil {
		return nil, err
	}
	var all []plague.Job
	for _, u := range users {
		js, err := db.ReadyOf(ctx, u, max(1, limit/len(users)))
		if err != nil {
			return nil, err
		}
		all = append(all, js...)
	}
	slices.SortStableFunc(all, func(a, b plague.Job) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.UID, b.UID))
	})
	return all, nil
}

// ReadyUsers lists those who have waiting jobs; nobody while the farm is paused. It
// hops from one to the next in the index, however many jobs are between.
func (db *DB) ReadyUsers(ctx context.Context) ([]string, error) {
	users, err := collect(reader{ctx, db}, func(r row) (u string, err error) { return u, r.Scan(&u) }, `WITH RECURSIVE u (username) AS (
		SELECT MIN(username) FROM jobs WHERE state = 'waiting' AND (SELECT paused FROM farm WHERE id = 1) = 0
		UNION ALL SELECT (SELECT MIN(jobs.username) FROM jobs WHERE state = 'waiting' AND jobs.username > u.username) FROM u WHERE u.username IS NOT NULL)
		SELECT username FROM u WHERE username IS NOT NULL`)
	return users, db.trouble(err)
}

// ReadyOf lists a user's waiting jobs that may start if the farm is not paused.
func (db *DB) ReadyOf(ctx context.Context, user string, limit int) ([]plague.Job, error) {
	js, err := collect(reader{ctx, db}, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE state = 'waiting' AND username = $1
		AND (after_uid = 0 OR EXISTS (SELECT 1 FROM jobs AS p WHERE p.uid = jobs.after_uid AND p.state IN ('repodone', 'needsign', 'released')))
		ORDER BY priority DESC, uid LIMIT $2`, user, limit)
	return js, db.trouble(err)
}

// Doomed lists the waiting jobs whose predecessor has failed or was killed.
func (db *DB) Doomed(ctx context.Context, limit int) ([]plague.Job, error) {
	js, err := collect(reader{ctx, db}, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE state = 'waiting' AND after_uid <> 0
		AND EXISTS (SELECT 1 FROM jobs AS p WHERE p.uid = jobs.after_uid AND p.state IN ('failed', 'killed'))
		ORDER BY uid LIMIT $1`, limit)
	return js, db.trouble(err)
}

// Begin takes jobs from waiting to initialize, and on to prep if they have an SRPM.
// It gives those that were still waiting, as they are then.
func (db *DB) Begin(ctx context.Context, t Term, at time.Time, uids []plague.JobID) ([]plague.Job, error) {
	var begun []plague.Job
	err := db.lead(ctx, t, func(tx *tx) error {
		begun = nil
		for _, uid := range uids {
			j, err := tx.locked(uid)
			if err != nil {
				return err
			}
			if j.State != plague.JobWaiting {
				continue
			}
			steps := []plague.JobState{plague.JobInitialize, plague.JobPrep}
			if j.SRPM == "" {
				steps = steps[:1]
			}
			for _, to := range steps {
				if err := tx.move(at, j, to, "", ""); err != nil {
					return err
				}
				j.State, j.StateAt = to, at
			}
			begun = append(begun, j)
		}
		if len(begun) > 0 {
			tx.wake(TopicJobs)
		}
		return nil
	})
	return begun, err
}

// Build takes a job from prep to building: pinned, and with one queued arch
// job for each arch that is to be built. The decisions are kept as an event.
func (db *DB) Build(ctx context.Context, t Term, at time.Time, uid plague.JobID, run int, ds []plague.Decision, pin plague.Pin) error {
	return db.lead(ctx, t, func(tx *tx) error {
		j, err := tx.inPrep(uid, run)
		if err != nil {
			return err
		}
		if err := tx.pin(uid, run, pin); err != nil {
			return err
		}
		if err := tx.move(at, j, plague.JobBuilding, "", ""); err != nil {
			return err
		}
		for _, d := range ds {
			if !d.Built {
				continue
			}
			if err := tx.queue(at, uid, run, plague.KindBuild, d.Arch, d.Roots); err != nil {
				return err
			}
		}
		tx.wake(TopicQueue)
		return tx.decided(at, uid, ds)
	})
}

func (tx *tx) inPrep(uid plague.JobID, run int) (plague.Job, error) {
	j, err := tx.locked(uid)
	if err == nil && (j.Run != run || j.State != plague.JobPrep) {
		err = fmt.Errorf("%w: job %d is no longer in prep", plague.ErrConflict, uid)
	}
	return j, err
}

func (tx *tx) pin(uid plague.JobID, run int, pin plague.Pin) error {
	for _, table := range []string{"pins", "pin_repos"} { // of its checkout
		if _, err := tx.exec(`DELETE FROM `+table+` WHERE uid = $1 AND run = $2`, uid, run); err != nil {
			return err
		}
	}
	if _, err := tx.exec(`INSERT INTO pins (uid, run, snapshot) VALUES ($1, $2, $3)`, uid, run, pin.Snapshot); err != nil {
		return err
	}
	for _, r := range pin.Repos {
		_, err := tx.exec(`INSERT INTO pin_repos (uid, run, repo, arch, url, repomd) VALUES ($1, $2, $3, $4, $5, $6)`, uid, run, r.ID, r.Arch, r.URL, r.Repomd)
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *tx) queue(at time.Time, uid plague.JobID, run int, kind plague.Kind, arch string, roots []string) error {
	var id plague.ArchJobID
	err := tx.row(`INSERT INTO arch_jobs (uid, run, kind, arch, roots, state, queued_at, state_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING id`,
		uid, run, kind, arch, strings.Join(roots, " "), plague.ArchQueued, us(at)).Scan(&id)
	if err != nil {
		return err
	}
	return tx.event(plague.Event{At: at, Job: uid, ArchJob: id, What: "arch_job", To: string(plague.ArchQueued), Text: arch})
}

// FailJob ends a run that cannot go on from a state.
func (db *DB) FailJob(ctx context.Context, t Term, at time.Time, uid plague.JobID, run int, from plague.JobState, reason string) error {
	return db.lead(ctx, t, func(tx *tx) error {
		j, err := tx.locked(uid)
		if err != nil {
			return err
		}
		if j.Run != run || j.State != from {
			return fmt.Errorf("%w: job %d is no longer in %s", plague.ErrConflict, uid, from)
		}
		tx.wake(TopicJobs) // those that wait for it
		return tx.move(at, j, plague.JobFailed, "", reason)
	})
}

// Kill stops a job and all its arch jobs in one transaction. It is legal until
// the job is published.
func (db *DB) Kill(ctx context.Context, at time.Time, who string, uid plague.JobID) error {
	return db.update(ctx, func(tx *tx) error {
		j, err := tx.locked(uid)
		if err != nil {
			return err
		}
		switch {
		case j.State.Published():
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d is published (%s)", uid, j.State), "publish a higher release in its place, or take it out of the repository with `plague repo retire`")
		case j.Final():
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d has ended: it is %s", uid, j.State), "")
		}
		if err := tx.move(at, j, plague.JobKilled, who, "killed by "+who); err != nil {
			return err
		}
		as, err := collect(tx, scanArchJob, `SELECT `+archColumns+` FROM arch_jobs WHERE uid = $1 AND run = $2 ORDER BY id`+db.forUpdate(), uid, j.Run)
		if err != nil {
			return err
		}
		for _, a := range as {
			if a.State.Final() {
				continue
			}
			if err := tx.moveArch(at, a, plague.ArchKilled, who, "killed by "+who); err != nil {
				return err
			}
			if err := tx.endAttempt(at, a, "killed", "killed by "+who); err != nil {
				return err
			}
		}
		tx.wake(TopicJobs, TopicQueue, TopicOrders)
		return nil
	})
}

// runEnded ends what a run does when its last arch job has ended: the making of its
// SRPM, or its building: to finished, and on to addtorepo, failed, or (scratch) nowhere.
func (tx *tx) runEnded(at time.Time, j plague.Job) error {
	as, err := collect(tx, scanArchJob, `SELECT `+archColumns+` FROM arch_jobs WHERE uid = $1 AND run = $2 ORDER BY id`, j.UID, j.Run)
	if err != nil {
		return err
	}
	var failures []string
	for _, a := range as {
		if !a.State.Final() {
			return nil
		}
		if a.State != plague.ArchDone {
			line, _, _ := strings.Cut(a.Reason, "\n")
			failures = append(failures, a.Arch+": "+line)
		}
	}
	if j.State == plague.JobCheckout || j.State == plague.JobMakeSRPM {
		return tx.sourceEnded(at, j, failures)
	}
	if j.State != plague.JobBuilding {
		return nil
	}
	if err := tx.move(at, j, plague.JobFinished, "", ""); err != nil {
		return err
	}
	j.State = plague.JobFinished
	switch {
	case len(failures) > 0:
		tx.wake(TopicJobs)
		return tx.move(at, j, plague.JobFailed, "", strings.Join(failures, "\n"))
	case j.Scratch:
		return nil
	}
	tx.wake(TopicPublish)
	return tx.move(at, j, plague.JobAddToRepo, "", "")
}
