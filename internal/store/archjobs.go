package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"plague"
)

const archColumns = `id, uid, run, kind, arch, state, attempt, token, builder, phase, lost, infra, reason, failure_kind, failure_phase,
	roots, outgrew, above, queued_at, begun_at, ended_at, state_at`

func archFields() ([]any, func() plague.ArchJob) {
	var a plague.ArchJob
	var roots string
	var queued, begun, ended, state int64
	return []any{&a.ID, &a.Job, &a.Run, &a.Kind, &a.Arch, &a.State, &a.Attempt, &a.Token, &a.Builder, &a.Phase, &a.Lost, &a.Infra, &a.Reason,
			&a.FailureKind, &a.FailurePhase, &roots, &a.Outgrew, &a.Above, &queued, &begun, &ended, &state}, func() plague.ArchJob {
			a.QueuedAt, a.BegunAt, a.EndedAt, a.StateAt = timeOf(queued), timeOf(begun), timeOf(ended), timeOf(state)
			a.Roots = strings.Fields(roots)
			if a.State == plague.ArchQueued {
				a.Builder = "" // the column still names the builder of the attempt before: see Queued
			}
			return a
		}
}

func scanArchJob(r row) (plague.ArchJob, error) {
	fields, a := archFields()
	err := r.Scan(fields...)
	return a(), err
}

// ArchJob gives one arch job; ErrNotFound.
func (db *DB) ArchJob(ctx context.Context, id plague.ArchJobID) (plague.ArchJob, error) {
	a, err := scanArchJob(db.row(ctx, `SELECT `+archColumns+` FROM arch_jobs WHERE id = $1`, id))
	return a, db.trouble(err)
}

// ArchJobs lists the arch jobs of one run.
func (db *DB) ArchJobs(ctx context.Context, uid plague.JobID, run int) ([]plague.ArchJob, error) {
	as, err := collect(reader{ctx, db}, scanArchJob, `SELECT `+archColumns+` FROM arch_jobs WHERE uid = $1 AND run = $2 ORDER BY id`, uid, run)
	return as, db.trouble(err)
}

// ArchJobsOf gives the arch jobs of the current runs of jobs.
func (db *DB) ArchJobsOf(ctx context.Context, uids []plague.JobID) (map[plague.JobID][]plague.ArchJob, error) {
	of := map[plague.JobID][]plague.ArchJob{}
	if len(uids) == 0 {
		return of, nil
	}
	in, args := named(uids)
	as, err := collect(reader{ctx, db}, scanArchJob, `SELECT `+prefixed("a", archColumns)+` FROM arch_jobs AS a JOIN jobs AS j ON j.uid = a.uid AND j.run = a.run
		WHERE a.uid IN (`+in+`) ORDER BY a.id`, args...)
	for _, a := range as {
		of[a.Job] = append(of[a.Job], a)
	}
	return of, db.trouble(err)
}

// Attempts lists all attempts of an arch job.
func (db *DB) Attempts(ctx context.Context, id plague.ArchJobID) ([]plague.Attempt, error) {
	as, err := collect(reader{ctx, db}, func(r row) (plague.Attempt, error) {
		var a plague.Attempt
		var begun, ended int64
		err := r.Scan(&a.ArchJob, &a.Number, &a.Token, &a.Builder, &begun, &ended, &a.Outcome, &a.Reason, &a.Used.Memory, &a.Used.Disk, &a.Used.Meter)
		a.BegunAt, a.EndedAt = timeOf(begun), timeOf(ended)
		return a, err
	}, `SELECT arch_job, number, token, builder, begun_at, ended_at, outcome, reason, memory, disk, meter FROM attempts WHERE arch_job = $1 ORDER BY number`, id)
	return as, db.trouble(err)
}

// QueueRow is an arch job that waits, with what the planner has to know.
type QueueRow struct {
	plague.ArchJob
	User, Package, Target string
	Priority              int
	Since                 time.Time      // when this run was submitted
	LastBuilder           string         // of the attempt before
	Learned               plague.Learned // of a build; zero: nothing yet
}

const queueColumns = `j.username, j.package, j.target, j.priority, j.queued_at, a.builder, COALESCE(l.took, 0), COALESCE(l.memory, 0), COALESCE(l.disk, 0)`

// withLearned joins what is known of builds like a, of job j. What makes SRPMs is not
// among them: it has an arch of its own.
const withLearned = ` LEFT JOIN learned AS l ON l.package = j.package AND l.arch = a.arch `

func scanQueued(r row) (QueueRow, error) {
	fields, a := archFields()
	var q QueueRow
	var since, took int64
	err := r.Scan(append(fields, &q.User, &q.Package, &q.Target, &q.Priority, &since, &q.LastBuilder, &took, &q.Learned.Memory, &q.Learned.Disk)...)
	q.ArchJob, q.Since, q.Learned.Took = a(), timeOf(since), time.Duration(took)*time.Microsecond
	return q, err
}

// Queued lists queued arch jobs above an id.
func (db *DB) Queued(ctx context.Context, after plague.ArchJobID, limit int) ([]QueueRow, error) {
	rows, err := collect(reader{ctx, db}, scanQueued, `SELECT `+prefixed("a", archColumns)+`, `+queueColumns+`
		FROM arch_jobs AS a JOIN jobs AS j ON j.uid = a.uid`+withLearned+`WHERE a.state = 'queued' AND a.id > $1 ORDER BY a.id LIMIT $2`, after, limit)
	return rows, db.trouble(err)
}

// QueuedOf lists queued arch jobs of some packages, the oldest first.
func (db *DB) QueuedOf(ctx context.Context, packages []string, limit int) ([]QueueRow, error) {
	if len(packages) == 0 {
		return nil, nil
	}
	rows, err := collect(reader{ctx, db}, scanQueued, `SELECT `+prefixed("a", archColumns)+`, `+queueColumns+`
		FROM jobs AS j JOIN arch_jobs AS a ON a.uid = j.uid AND a.run = j.run`+withLearned+`
		WHERE j.state = 'building' AND j.package IN (`+placeholders(2, len(packages))+`) AND a.state = 'queued' ORDER BY a.id LIMIT $1`,
		append([]any{limit}, anys(packages)...)...)
	return rows, db.trouble(err)
}

// HeldRow is an arch job that a builder holds, with its job and pin.
type HeldRow struct {
	plague.ArchJob
	JobRow plague.Job
}

// Held lists what a builder holds; "" stands for all builders, by name. What the runs
// are pinned to is left out: Pin adds it.
func (db *DB) Held(ctx context.Context, builder string) ([]HeldRow, error) {
	query := `SELECT ` + prefixed("a", archColumns) + `, ` + prefixed("j", jobColumns) + ` FROM arch_jobs AS a JOIN jobs AS j ON j.uid = a.uid
		WHERE a.state IN ('assigned', 'running', 'downloading') AND a.builder `
	// Also for all builders in the order of the index of what is held: by id,
	// SQLite would read every arch job there ever was.
	if builder == "" {
		query += `>= $1`
	} else {
		query += `= $1`
	}
	rows, err := collect(reader{ctx, db}, func(r row) (HeldRow, error) {
		fields, a := archFields()
		more, j := jobFields()
		err := r.Scan(append(fields, more...)...)
		return HeldRow{ArchJob: a(), JobRow: j()}, err
	}, query+` ORDER BY a.builder, a.id`, builder)
	return rows, db.trouble(err)
}

// Pin adds to jobs what the runs are pinned to in which their arch jobs are built. It
// stays the same for an arch job.
func (db *DB) Pin(ctx context.Context, rows []*HeldRow) error {
	var uids []plague.JobID
	for _, r := range rows {
		uids = append(uids, r.Job)
	}
	pins, err := pinsOf(reader{ctx, db}, uids)
	for _, r := range rows {
		r.JobRow.Pin = pins[run{r.Job, r.Run}]
	}
	return db.trouble(err)
}

// moveArch is the one statement that changes an arch job's state: guarded by
// state, attempt and token.
func (tx *tx) moveArch(at time.Time, a plague.ArchJob, to plague.ArchState, who, reason string) error {
	if !a.State.CanBecome(to) {
		return fmt.Errorf("%w: arch job %d cannot go from %s to %s", plague.ErrConflict, a.ID, a.State, to)
	}
	ended := int64(0)
	if to.Final() {
		ended = us(at)
	}
	n, err := tx.exec(`UPDATE arch_jobs SET state = $1, state_at = $2, ended_at = $3, reason = $4 WHERE id = $5 AND state = $6 AND attempt = $7 AND token = $8`,
		to, us(at), ended, reason, a.ID, a.State, a.Attempt, a.Token)
	if err := changed(n, err, "arch job %d is no longer %s", a.ID, a.State); err != nil {
		return err
	}
	return tx.event(plague.Event{At: at, Job: a.Job, ArchJob: a.ID, What: "arch_job", From: string(a.State), To: string(to), Who: who, Text: reason})
}

func (tx *tx) endAttempt(at time.Time, a plague.ArchJob, outcome, reason string) error {
	if a.Attempt == 0 {
		return nil
	}
	if _, err := tx.exec(`UPDATE attempts SET ended_at = $1, outcome = $2, reason = $3 WHERE arch_job = $4 AND number = $5 AND outcome = ''`,
		us(at), outcome, reason, a.ID, a.Attempt); err != nil {
		return err
	}
	for _, query := range []string{`DELETE FROM downloads WHERE arch_job = $1`, `DELETE FROM announced WHERE arch_job = $1`} {
		if _, err := tx.exec(query, a.ID); err != nil {
			return err
		}
	}
	return nil
}

// Assignment gives an arch job to a builder, under a random token.
type Assignment struct {
	ArchJob plague.ArchJobID
	Builder string
	Token   string
}

// Assign commits a plan: each arch job that is still queued gets its next
// attempt. It gives those.
func (db *DB) Assign(ctx context.Context, t Term, at time.Time, as []Assignment) ([]plague.AttemptID, error) {
	as = slices.Clone(as)
	slices.SortFunc(as, func(a, b Assignment) int { return cmp.Compare(a.ArchJob, b.ArchJob) }) // rows are locked by id everywhere
	var done []plague.AttemptID
	err := db.lead(ctx, t, func(tx *tx) error {
		done = nil
		for _, a := range as {
			var id plague.AttemptID
			var uid plague.JobID
			err := tx.row(`UPDATE arch_jobs SET state = 'assigned', attempt = attempt + 1, token = $1, builder = $2, phase = '', reason = '', state_at = $3,
				begun_at = CASE WHEN begun_at = 0 THEN $3 ELSE begun_at END
				WHERE id = $4 AND state = 'queued' RETURNING id, attempt, token, uid`, a.Token, a.Builder, us(at), a.ArchJob).Scan(&id.ArchJob, &id.Number, &id.Token, &uid)
			if errors.Is(db.trouble(err), plague.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if _, err := tx.exec(`INSERT INTO attempts (arch_job, number, token, builder, begun_at) VALUES ($1, $2, $3, $4, $5)`,
				id.ArchJob, id.Number, id.Token, a.Builder, us(at)); err != nil {
				return err
			}
			if err := tx.event(plague.Event{At: at, Job: uid, ArchJob: id.ArchJob, What: "arch_job", From: string(plague.ArchQueued), To: string(plague.ArchAssigned),
				Who: a.Builder, Text: fmt.Sprintf("attempt %d", id.Number)}); err != nil {
				return err
			}
			done = append(done, id)
		}
		return nil
	})
	return done, err
}
