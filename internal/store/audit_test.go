package store_test

import (
	"fmt"
	"slices"
	"strings"

	"plague"
)

// audits are queries that find what must never be.
func audits() []struct{ rule, query string } {
	const final = `('done', 'failed', 'killed')`
	return []struct{ rule, query string }{
		{"counters are what a count gives", `SELECT state FROM (SELECT state, SUM(n) AS n FROM job_counts GROUP BY state) AS c
			WHERE n <> (SELECT COUNT(*) FROM jobs WHERE jobs.state = c.state)
			UNION ALL SELECT state FROM jobs WHERE state NOT IN (SELECT state FROM job_counts)`},
		{"a job past building has no open arch job", `SELECT j.uid FROM jobs AS j JOIN arch_jobs AS a ON a.uid = j.uid AND a.run = j.run
			WHERE j.state NOT IN ('building', 'make_srpm', 'checkout') AND a.state NOT IN ` + final},
		{"a run that is over has no open arch job", `SELECT j.uid FROM jobs AS j JOIN arch_jobs AS a ON a.uid = j.uid AND a.run < j.run WHERE a.state NOT IN ` + final},
		{"a building job has an open arch job", `SELECT uid FROM jobs AS j WHERE state = 'building'
			AND NOT EXISTS (SELECT 1 FROM arch_jobs AS a WHERE a.uid = j.uid AND a.run = j.run AND a.state NOT IN ` + final + `)`},
		{"what is published was built on every arch", `SELECT j.uid FROM jobs AS j JOIN arch_jobs AS a ON a.uid = j.uid AND a.run = j.run
			WHERE (j.state IN ('addtorepo', 'repodone', 'needsign', 'released') OR j.state = 'finished' AND j.scratch = 1) AND a.state <> 'done'`},
		{"a download belongs to an arch job that downloads that attempt", `SELECT d.arch_job FROM downloads AS d JOIN arch_jobs AS a ON a.id = d.arch_job
			WHERE a.state <> 'downloading' OR a.attempt <> d.number`},
		{"an arch job that downloads has its download", `SELECT id FROM arch_jobs WHERE state = 'downloading' AND id NOT IN (SELECT arch_job FROM downloads)`},
		{"announced files belong to a download", `SELECT arch_job FROM announced WHERE arch_job NOT IN (SELECT arch_job FROM downloads)`},
		{"an attempt is open if its arch job is held", `SELECT t.arch_job FROM attempts AS t JOIN arch_jobs AS a ON a.id = t.arch_job
			WHERE (t.outcome = '') <> (t.number = a.attempt AND a.state IN ('assigned', 'running', 'downloading')) OR (t.outcome = '') <> (t.ended_at = 0)`},
		{"attempt numbers have no gap", `SELECT id FROM arch_jobs AS a WHERE attempt <> (SELECT COUNT(*) FROM attempts AS t WHERE t.arch_job = a.id)`},
		{"members come from published jobs, with the snapshot", `SELECT m.uid FROM members AS m LEFT JOIN jobs AS j ON j.uid = m.uid
			WHERE j.uid IS NULL OR j.state NOT IN ('repodone', 'needsign', 'released') OR j.snapshot <> m.from_number`},
		{"a published job names a snapshot that is", `SELECT uid FROM jobs AS j WHERE state IN ('repodone', 'needsign', 'released')
			AND NOT EXISTS (SELECT 1 FROM snapshots AS s WHERE s.target = j.target AND s.number = j.snapshot)`},
		{"the pointer is at the newest snapshot", `SELECT p.number FROM pointers AS p WHERE number <> (SELECT MAX(number) FROM snapshots AS s WHERE s.target = p.target AND s.line = p.line)`},
		{"a requeue leaves the time of the submission", `SELECT uid FROM jobs AS j WHERE submitted_at <> (SELECT at FROM events AS e WHERE e.uid = j.uid ORDER BY id LIMIT 1)`},
		{"nobody rests in a state that is passed through", `SELECT uid FROM jobs WHERE state IN ('initialize', 'repodone') OR state = 'finished' AND scratch = 0`},
		{"a run that builds is pinned", `SELECT uid FROM jobs AS j WHERE state IN ('building', 'addtorepo', 'needsign')
			AND NOT EXISTS (SELECT 1 FROM pins AS p WHERE p.uid = j.uid AND p.run = j.run)`},
	}
}

// audit holds the invariants, and the story that the events tell: each state
// is reached by a legal step from the one before, and the last is the row's.
func (f *farm) audit() {
	f.t.Helper()
	// The test's own context has ended when this runs at its end.
	db := f.raw()
	for _, a := range audits() {
		rows, err := db.Query(a.query)
		if err != nil {
			f.t.Fatalf("%s: %v", a.rule, err)
		}
		var broken []string
		for rows.Next() {
			var s string
			f.must(rows.Scan(&s))
			broken = append(broken, s)
		}
		f.must(rows.Err())
		if len(broken) > 0 {
			f.t.Errorf("broken: %s: %s", a.rule, strings.Join(broken, " "))
		}
	}
	f.auditEvents("job", `SELECT uid, old_state, new_state FROM events WHERE what = 'job' ORDER BY id`, `SELECT uid, state FROM jobs`, jobStep)
	f.auditEvents("arch_job", `SELECT arch_job, old_state, new_state FROM events WHERE what = 'arch_job' ORDER BY id`, `SELECT id, state FROM arch_jobs`, archStep)
}

func jobStep(from, to string) bool {
	if from == "" || plague.JobState(from).Requeueable() {
		return to == string(plague.JobWaiting)
	}
	return plague.JobState(from).CanBecome(plague.JobState(to))
}

func archStep(from, to string) bool {
	if from == "" {
		return to == string(plague.ArchQueued)
	}
	return plague.ArchState(from).CanBecome(plague.ArchState(to))
}

func (f *farm) auditEvents(what, events, rows string, legal func(from, to string) bool) {
	f.t.Helper()
	db := f.raw()
	state := map[int64]string{}
	es, err := db.Query(events)
	f.must(err)
	for es.Next() {
		var id int64
		var from, to string
		f.must(es.Scan(&id, &from, &to))
		if state[id] != from || !legal(from, to) {
			f.t.Errorf("events of %s %d: %q -> %q after %q", what, id, from, to, state[id])
		}
		state[id] = to
	}
	f.must(es.Err())
	rs, err := db.Query(rows)
	f.must(err)
	for rs.Next() {
		var id int64
		var now string
		f.must(rs.Scan(&id, &now))
		if state[id] != now {
			f.t.Errorf("%s %d is %s, its last event says %q", what, id, now, state[id])
		}
		delete(state, id)
	}
	f.must(rs.Err())
	if len(state) > 0 {
		f.t.Errorf("events of %s without a row: %v", what, state)
	}
}

// dump is everything that the database says, as text.
func (f *farm) dump() string {
	f.t.Helper()
	db := f.raw()
	defer db.Close()
	var all strings.Builder
	for _, table := range []string{"farm", "users", "imports", "uploads", "jobs", "job_counts", "pins", "pin_repos", "arch_jobs", "attempts", "downloads", "announced",
		"job_files", "snapshots", "pointers", "members", "builders", "events", "condemned"} {
		rows, err := db.Query(`SELECT * FROM ` + table)
		f.must(err)
		columns, err := rows.Columns()
		f.must(err)
		var lines []string
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			f.must(rows.Scan(into...))
			lines = append(lines, fmt.Sprint(values...))
		}
		f.must(rows.Err())
		fmt.Fprintln(&all, table, len(lines))
		slices.Sort(lines)
		for _, l := range lines {
			fmt.Fprintln(&all, " ", l)
		}
	}
	return all.String()
}
