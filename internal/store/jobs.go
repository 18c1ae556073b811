package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"plague"
)

const jobColumns = `uid, run, username, package, source, srpm, srpm_size, target, state, scratch, after_uid, priority,
	epoch, version, release, reason, snapshot, submitted_at, queued_at, begun_at, ended_at, state_at`

// prefixed gives columns with a table's name before each.
func prefixed(table, columns string) string {
	names := strings.Split(columns, ",")
	for i, n := range names {
		names[i] = table + "." + strings.TrimSpace(n)
	}
	return strings.Join(names, ", ")
}

// jobFields are where the columns of a job go; the second gives the job.
func jobFields() ([]any, func() plague.Job) {
	var j plague.Job
	var scratch int
	var submitted, queued, begun, ended, state int64
	return []any{&j.UID, &j.Run, &j.User, &j.Package, &j.Source, &j.SRPM, &j.SRPMSize, &j.Target, &j.State, &scratch, &j.After, &j.Priority,
			&j.Epoch, &j.Version, &j.Release, &j.Reason, &j.Snapshot, &submitted, &queued, &begun, &ended, &state}, func() plague.Job {
			j.Scratch = scratch != 0
			j.SubmittedAt, j.QueuedAt, j.BegunAt, j.EndedAt, j.StateAt = timeOf(submitted), timeOf(queued), timeOf(begun), timeOf(ended), timeOf(state)
			return j
		}
}

func scanJob(r row) (plague.Job, error) {
	fields, job := jobFields()
	err := r.Scan(fields...)
	return job(), err
}

// Job gives one job with its pin; ErrNotFound.
func (db *DB) Job(ctx context.Context, uid plague.JobID) (plague.Job, error) {
	j, err := scanJob(db.row(ctx, `SELECT `+jobColumns+` FROM jobs WHERE uid = $1`, uid))
	if err != nil {
		if err = db.trouble(err); err == plague.ErrNotFound {
			err = plague.Refuse(plague.ErrNotFound, fmt.Sprintf("there is no job %d", uid), "`plague list --all` lists the newest")
		}
		return j, err
	}
	pins, err := pinsOf(reader{ctx, db}, []plague.JobID{uid})
	j.Pin = pins[run{uid, j.Run}]
	return j, db.trouble(err)
}

// is spells a state out; empty for what is none. With a parameter PostgreSQL
// plans for the average state, and to list a rare one it reads the million jobs
// of the others, by uid.
func is(state plague.JobState) string {
	if !slices.Contains(plague.JobStates(), state) {
		return ""
	}
	return "state = '" + string(state) + "'"
}

// JobsIn lists jobs in one state by uid, those above a uid: the key of the next
// page.
func (db *DB) JobsIn(ctx context.Context, state plague.JobState, after plague.JobID, limit int) ([]plague.Job, error) {
	known := is(state)
	if known == "" {
		return nil, nil
	}
	js, err := collect(reader{ctx, db}, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE `+known+` AND uid > $1 ORDER BY uid LIMIT $2`, after, limit)
	return js, db.trouble(err)
}

// Counts gives the number of jobs in each state, from counters that every
// transition keeps.
func (db *DB) Counts(ctx context.Context) (map[plague.JobState]int64, error) {
	type count struct {
		state plague.JobState
		n     int64
	}
	all, err := collect(reader{ctx, db}, func(r row) (count, error) {
		var c count
		err := r.Scan(&c.state, &c.n)
		return c, err
	}, `SELECT state, CAST(SUM(n) AS BIGINT) FROM job_counts GROUP BY state`)
	counts := map[plague.JobState]int64{}
	for _, c := range all {
		counts[c.state] = c.n
	}
	return counts, db.trouble(err)
}

// shards is how many counters each state has, so that writers on PostgreSQL
// do not all wait for one row.
const shards = 16

type shard struct {
	state  plague.JobState
	number int64
}

// count remembers a change of the counters; an empty state counts nothing.
func (tx *tx) count(uid plague.JobID, from, to plague.JobState) {
	if tx.counts == nil {
		tx.counts = map[shard]int64{}
	}
	tx.counts[shard{from, int64(uid) % shards}]--
	tx.counts[shard{to, int64(uid) % shards}]++
}

// countAll writes the counters last and in one order for all: two
// transactions that change many never wait for each other in a ring, and none
// waits long.
func (tx *tx) countAll() error {
	for _, s := range slices.SortedFunc(maps.Keys(tx.counts), func(a, b shard) int {
		return cmp.Or(cmp.Compare(a.state, b.state), cmp.Compare(a.number, b.number))
	}) {
		by := tx.counts[s]
		if s.state == "" || by == 0 {
			continue
		}
		_, err := tx.exec(`INSERT INTO job_counts (state, shard, n) VALUES ($1, $2, $3) ON CONFLICT (state, shard) DO UPDATE SET n = job_counts.n + excluded.n`,
			s.state, s.number, by)
		if err != nil {
			return err
		}
	}
	return nil
}

// move is the one statement that changes a job's state within a run. It is
// guarded by run and state: ErrConflict says that it is elsewhere.
func (tx *tx) move(at time.Time, j plague.Job, to plague.JobState, who, reason string) error {
	if !j.State.CanBecome(to) {
		return fmt.Errorf("%w: job %d cannot go from %s to %s", plague.ErrConflict, j.UID, j.State, to)
	}
	ended := int64(0)
	after := plague.Job{State: to, Scratch: j.Scratch}
	if after.Resting() {
		ended = us(at)
	}
	n, err := tx.exec(`UPDATE jobs SET state = $1, state_at = $2, ended_at = $3, begun_at = CASE WHEN begun_at = 0 THEN $2 ELSE begun_at END,
		reason = CASE WHEN $4 = '' THEN reason ELSE $4 END WHERE uid = $5 AND run = $6 AND state = $7`,
		to, us(at), ended, reason, j.UID, j.Run, j.State)
	if err := changed(n, err, "job %d is no longer in %s", j.UID, j.State); err != nil {
		return err
	}
	tx.count(j.UID, j.State, to)
	return tx.event(plague.Event{At: at, Job: j.UID, What: "job", From: string(j.State), To: string(to), Who: who, Text: reason})
}

// locked reads a job and, on PostgreSQL, holds it until the transaction ends:
// what touches a job and its arch jobs locks the job first.
func (tx *tx) locked(uid plague.JobID) (plague.Job, error) {
	return scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE uid = $1`+tx.db.forUpdate(), uid))
}
