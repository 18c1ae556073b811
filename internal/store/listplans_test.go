package store_test

import (
	"database/sql"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// listed is one way to ask for a list, with the arguments of its statement.
type listed struct {
	name   string
	filter store.Filter
	args   []any
}

// listings are all combinations of filters, each as the first page, as one in
// the middle, and from there on the oldest first.
func listings(f *farm, n int) []listed {
	middle := f.job(plague.JobID(n / 2))
	since, until := f.now.Add(-time.Duration(n)*time.Minute*3/4), f.now.Add(-time.Duration(n)*time.Minute/4)
	var all []listed
	for i := range 1 << 3 {
		for states, chosen := range [][]plague.JobState{nil, {plague.JobFailed}, {plague.JobWaiting, plague.JobBuilding, plague.JobFailed}} {
			for age := range 3 {
				l := listed{filter: store.Filter{States: chosen, Limit: 50}}
				from, to := []any{int64(0), 0}, []any{int64(math.MaxInt64), 0}
				var values []any
				if i&1 != 0 {
					l.filter.Package, l.name, values = "package7", l.name+" package", append(values, "package7")
				}
				if i&2 != 0 {
					l.filter.User, l.name, values = "packager7@example.com", l.name+" user", append(values, "packager7@example.com")
				}
				if i&4 != 0 {
					l.filter.Target, l.name, values = target, l.name+" target", append(values, target)
				}
				l.name += []string{"", " one state", " three states"}[states]
				if age > 0 {
					l.filter.Since, from[0], l.name = since, since.UnixMicro(), l.name+" since"
				}
				if age > 1 {
					l.filter.Until, to[0], l.name = until, until.UnixMicro(), l.name+" until"
				}
				name := strings.TrimSpace(l.name)
				if name == "" {
					name = "everything"
				}
				l.name, l.args = name+", first page", slices.Concat(from, to, []any{50}, values)
				at := middle.SubmittedAt.UnixMicro()
				before, after := l, l
				before.name, before.filter.Before, before.args = name+", middle", middle.UID, slices.Concat(from, []any{at, middle.UID, 50}, values)
				after.name, after.filter.After, after.filter.Oldest = name+", middle, oldest first", middle.UID, true
				after.args = slices.Concat([]any{at, middle.UID + 1}, to, []any{50}, values)
				all = append(all, l, before, after)
			}
		}
	}
	return all
}

// varied gives a third of a farm's past another target: there are users who never
// had a failed job, and ones who have no job of a package for a target.
func (f *farm) varied() {
	f.t.Helper()
	_, err := f.raw().ExecContext(f.ctx, `UPDATE jobs SET target = 'lab-13-extras' WHERE uid % 3 = 1`)
	f.must(err)
	f.statistics(true)
}

// TestListPlans: whatever a list is filtered by, its page comes from stretches of
// indexes that are in the list's own order: nothing is read from end to end, and
// nothing is sorted but what one page of each state has.
func TestListPlans(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		const n = 20_000
		f.past(n)
		f.varied()
		f.listPlans(n)
		if f.Postgres() { // as after a mass rebuild that it has not looked at yet
			_, err := f.raw().ExecContext(f.ctx, `DELETE FROM pg_statistic WHERE starelid = CAST('jobs' AS regclass)`)
			f.must(err)
		} else {
			f.statistics(false)
		}
		f.listPlans(n)
	})
}

func (f *farm) listPlans(n int) {
	f.t.Helper()
	db, raw := f.tap(), f.raw()
	raw.SetMaxOpenConns(1)
	for _, l := range listings(f, n) {
		var ops []string
		db.set(func(op string) error { ops = append(ops, op); return nil })
		_, err := db.Jobs(f.ctx, l.filter)
		f.must(err)
		query := ops[len(ops)-1]
		plan := f.listPlan(raw, ops, l.args)
		judge := judgeSQLite
		if f.Postgres() {
			judge = judgePostgres
		}
		if bad := judge(plan); bad != "" {
			f.t.Errorf("%s: %s in the plan of\n%s\n%s", l.name, bad, query, strings.Join(plan, "\n"))
		}
	}
}

// listPlan gives a plan as lines that are indented like its tree: that of the last
// statement, after what those before it set.
func (f *farm) listPlan(db *sql.DB, ops []string, args []any) []string {
	f.t.Helper()
	query := ops[len(ops)-1]
	if f.Postgres() {
		f.lines(db, "BEGIN")
		defer f.lines(db, "ROLLBACK")
		for _, op := range ops[:len(ops)-1] {
			if strings.HasPrefix(op, "SELECT set_config") {
				f.lines(db, op)
			}
		}
		return strings.Split(f.plan(db, query, args), "\n")
	}
	rows, err := db.QueryContext(f.ctx, "EXPLAIN QUERY PLAN "+query, args...)
	f.must(err)
	defer rows.Close()
	depth := map[int]int{}
	var lines []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		f.must(rows.Scan(&id, &parent, &unused, &detail))
		depth[id] = depth[parent] + 1
		lines = append(lines, strings.Repeat(" ", depth[id])+detail)
	}
	f.must(rows.Err())
	return lines
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// judgeSQLite says what is wrong with a plan: each look into jobs is for a uid, or
// for a stretch that is bounded on both sides; and who sorts does not look himself.
func judgeSQLite(plan []string) string {
	for i, line := range plan {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "SCAN jobs"):
			return text
		case strings.HasPrefix(text, "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"):
		case strings.HasPrefix(text, "SEARCH jobs"):
			if !strings.Contains(text, "submitted_at>? AND submitted_at<?") || strings.Contains(text, "ANY(") {
				return "no stretch: " + text
			}
			for _, other := range plan[i:] {
				if indent(other) < indent(line) {
					break
				}
				if indent(other) == indent(line) && strings.Contains(other, "TEMP B-TREE") {
					return "a sort of all that is found: " + text
				}
			}
		}
	}
	return ""
}

var scan = regexp.MustCompile(`(Seq|Index|Index Only|Bitmap Heap) Scan (Backward )?(using \w+ )?on jobs`)

// judgePostgres does the same: between a look into jobs and the limit of its page
// nobody sorts.
func judgePostgres(plan []string) string {
	for i, line := range plan {
		if !scan.MatchString(line) {
			continue
		}
		if strings.Contains(line, "using jobs_pkey") {
			if i+1 == len(plan) || !strings.Contains(plan[i+1], "Index Cond: (uid = ") {
				return "no uid: " + line
			}
			continue
		}
		if !strings.Contains(line, "Index") || i+1 == len(plan) || !strings.Contains(plan[i+1], "Index Cond: ") || !strings.Contains(plan[i+1], "ROW(submitted_at, uid)") {
			return "no stretch: " + line
		}
		above := indent(line)
		for _, up := range slices.Backward(plan[:i]) {
			if indent(up) >= above || !strings.Contains(up, "->") && indent(up) > 0 {
				continue
			}
			above = indent(up)
			if strings.Contains(up, "Limit ") {
				break
			}
			if strings.Contains(up, "Sort") || strings.Contains(up, "Hash") {
				return "a sort of all that is found: " + line
			}
		}
	}
	return ""
}

// BenchmarkLists gives the p50 of a page for every filter after a million jobs.
func BenchmarkLists(b *testing.B) {
	const n = 1_000_000
	for _, name := range []string{"sqlite", "postgres"} {
		b.Run(name, func(b *testing.B) {
			f := benchFarm(b, name)
			f.past(n)
			f.varied()
			for _, l := range listings(f, n) {
				b.Run(strings.ReplaceAll(l.name, " ", "_"), func(b *testing.B) {
					var took []time.Duration
					for b.Loop() {
						began := time.Now()
						_, err := f.Jobs(f.ctx, l.filter)
						f.must(err)
						took = append(took, time.Since(began))
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}

// TestListPlansAreJudged: a plan that reads or sorts a history is seen.
func TestListPlansAreJudged(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		f.past(20_000)
		raw := f.raw()
		raw.SetMaxOpenConns(1)
		judge := judgeSQLite
		if f.Postgres() {
			judge = judgePostgres
		}
		for _, query := range []string{
			`SELECT uid FROM jobs WHERE source = 'x' LIMIT 50`,
			`SELECT uid FROM jobs WHERE username = 'packager7@example.com' ORDER BY submitted_at, uid LIMIT 50`,
			`SELECT uid FROM jobs WHERE username = 'packager7@example.com' AND state = 'needsign' ORDER BY source LIMIT 50`,
			`SELECT uid FROM jobs WHERE target = 'none' AND (submitted_at, uid) >= (0, 0) AND (submitted_at, uid) < (9, 0) ORDER BY source LIMIT 50`,
		} {
			if plan := f.listPlan(raw, []string{query}, nil); judge(plan) == "" {
				t.Errorf("nothing is found wrong with %s\n%s", query, fmt.Sprint(strings.Join(plan, "\n")))
			}
		}
	})
}
