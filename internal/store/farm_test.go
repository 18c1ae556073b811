package store_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// cluster is the PostgreSQL of this test process; why says why there is none.
// TestMain alone writes them.
var (
	cluster *storetest.Cluster
	why     error
)

func TestMain(m *testing.M) {
	cluster, why = storetest.Start(false)
	if why != nil && !errors.Is(why, storetest.ErrAbsent) {
		fmt.Fprintln(os.Stderr, why)
		os.Exit(1)
	}
	code := m.Run()
	if why == nil {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// both runs a test on SQLite and on PostgreSQL. Whatever the test did, the
// invariants hold at its end.
func both(t *testing.T, test func(t *testing.T, f *farm)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, newFarm(t, filepath.Join(t.TempDir(), "farm.db"))) })
	t.Run("postgres", func(t *testing.T) { test(t, newFarm(t, postgres(t))) })
}

func postgres(tb testing.TB) string {
	tb.Helper()
	if why != nil {
		tb.Skip(why)
	}
	return cluster.Database(tb)
}

const target = "lab-12-extras"

// farm is a farm's database with a leader, and the steps of a job's life.
type farm struct {
	*store.DB
	t    testing.TB
	name string
	term store.Term
	ctx  context.Context
	now  time.Time
	bulk bool // filled past the store, without events: there is nothing to audit
}

// newFarm opens an empty farm whose leader is "test".
func newFarm(tb testing.TB, name string) *farm {
	tb.Helper()
	f := &farm{t: tb, name: name, ctx: tb.Context(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.DB = f.open(store.Options{})
	term, err := f.Acquire(f.ctx, "test", time.Hour)
	f.must(err)
	f.term = term
	tb.Cleanup(func() {
		if !tb.Failed() && !tb.Skipped() && !f.bulk {
			f.audit()
		}
	})
	return f
}

// open opens the farm's database once more.
func (f *farm) open(o store.Options) *store.DB {
	f.t.Helper()
	db, err := store.Open(f.ctx, f.name, o)
	f.must(err)
	f.t.Cleanup(func() { db.Close() })
	return db
}

// raw opens the database past the store.
func (f *farm) raw() *sql.DB {
	f.t.Helper()
	driver := "sqlite"
	if f.Postgres() {
		driver = "pgx"
	}
	db, err := sql.Open(driver, f.name)
	f.must(err)
	f.t.Cleanup(func() { db.Close() })
	return db
}

func (f *farm) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// refused says that err is of a kind and names everything in words.
func (f *farm) refused(err, kind error, words ...string) {
	f.t.Helper()
	if !errors.Is(err, kind) {
		f.t.Fatalf("error %v, want one of kind %v", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			f.t.Errorf("error %q does not name %q", err, w)
		}
	}
}

// later lets time pass.
func (f *farm) later(d time.Duration) time.Time {
	f.now = f.now.Add(d)
	return f.now
}

func digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// newJob is version v of a package, not yet submitted.
func newJob(pkg, v string) store.NewJob {
	return store.NewJob{User: "dev@example.com", Package: pkg, Source: pkg + "-" + v + "-1.src.rpm", SRPM: digest(pkg + v), SRPMSize: 1000,
		Target: target, Epoch: "0", Version: v, Release: "1"}
}

// submit uploads and submits a job.
func (f *farm) submit(n store.NewJob) plague.JobID {
	f.t.Helper()
	if n.SRPM != "" {
		f.must(f.AddUpload(f.ctx, f.now, n.User, n.SRPM, n.SRPMSize))
	}
	uid, err := f.Submit(f.ctx, f.now, n)
	f.must(err)
	return uid
}

var pin = plague.Pin{Snapshot: 0, Repos: []plague.BasePin{
	{ID: "base", Arch: "aarch64", URL: "https://example.com/aarch64", Repomd: digest("a")},
	{ID: "base", Arch: "x86_64", URL: "https://example.com/x86_64", Repomd: digest("x")},
}}

// build takes a waiting job to building.
func (f *farm) build(uid plague.JobID, arches ...string) []plague.ArchJob {
	f.t.Helper()
	f.begin(uid)
	f.must(f.Build(f.ctx, f.term, f.now, uid, f.job(uid).Run, built(arches...), pin))
	return f.archJobs(uid)
}

func (f *farm) begin(uid plague.JobID) {
	f.t.Helper()
	begun, err := f.Begin(f.ctx, f.term, f.now, []plague.JobID{uid})
	f.must(err)
	if !slices.Equal(uids(begun), []plague.JobID{uid}) {
		f.t.Fatalf("job %d did not begin", uid)
	}
}

func (f *farm) job(uid plague.JobID) plague.Job {
	f.t.Helper()
	j, err := f.Job(f.ctx, uid)
	f.must(err)
	return j
}

func (f *farm) archJobs(uid plague.JobID) []plague.ArchJob {
	f.t.Helper()
	as, err := f.ArchJobs(f.ctx, uid, f.job(uid).Run)
	f.must(err)
	return as
}

func (f *farm) archJob(id plague.ArchJobID) plague.ArchJob {
	f.t.Helper()
	a, err := f.ArchJob(f.ctx, id)
	f.must(err)
	return a
}

// assign gives a queued arch job to a builder.
func (f *farm) assign(id plague.ArchJobID, builder string) plague.AttemptID {
	f.t.Helper()
	done, err := f.Assign(f.ctx, f.term, f.now, []store.Assignment{{ArchJob: id, Builder: builder, Token: rand.Text()}})
	f.must(err)
	if len(done) != 1 {
		f.t.Fatalf("arch job %d was not assigned", id)
	}
	return done[0]
}

// end runs an attempt to its end on the builder.
func (f *farm) end(a plague.AttemptID, builder string, failure *plague.Failure) {
	f.t.Helper()
	f.must(f.Running(f.ctx, f.term, f.now, a, builder, plague.PhaseBuilding))
	f.must(f.Ended(f.ctx, f.term, f.now, a, builder, failure, []plague.Artifact{{Name: "build.log", Digest: digest("log"), Size: 7}}, plague.Usage{}))
}

// claim claims the download that is due.
func (f *farm) claim(who string) *store.Download {
	f.t.Helper()
	d, err := storetest.Only(f.ClaimDownloads(f.ctx, f.now, who, time.Minute, 1, 100))
	f.must(err)
	if d == nil {
		f.t.Fatal("no download is due")
	}
	return d
}

// results are the files that an accepted attempt has: one RPM for each name.
func results(d *store.Download, arch string, names ...string) []store.JobFile {
	files := []store.JobFile{{Arch: d.Arch, Run: d.Job.Run, Attempt: d.Number, Artifact: plague.Artifact{Name: "build.log", Digest: digest("log"), Size: 7}}}
	for _, n := range names {
		file := n + "-" + d.Job.Version + "-1." + arch + ".rpm"
		files = append(files, store.JobFile{Arch: d.Arch, Run: d.Job.Run, Attempt: d.Number,
			Artifact: plague.Artifact{Name: file, Digest: digest(file + d.Arch), Size: 9},
			RPM:      &store.RPM{Name: n, Version: d.Job.Version, Release: "1", Arch: arch}})
	}
	return files
}

// accept downloads what is due and ends its arch job.
func (f *farm) accept() {
	f.t.Helper()
	d := f.claim("test")
	f.must(f.Accept(f.ctx, f.now, d, "test", results(d, d.Arch, d.Job.Package)))
}

// done takes a waiting job to addtorepo (finished when it is scratch).
func (f *farm) done(uid plague.JobID, arches ...string) {
	f.t.Helper()
	for _, a := range f.build(uid, arches...) {
		f.end(f.assign(a.ID, "b1"), "b1", nil)
		f.accept()
	}
}

// publish publishes everything that waits for it.
func (f *farm) publish() plague.Snapshot {
	f.t.Helper()
	ps, err := f.ToPublish(f.ctx, target)
	f.must(err)
	s := f.next()
	f.must(f.Publish(f.ctx, f.term, f.now, s, ps))
	return s
}

// next is the snapshot that would follow.
func (f *farm) next() plague.Snapshot {
	f.t.Helper()
	n, err := f.Current(f.ctx, target, plague.LineBuild)
	f.must(err)
	return plague.Snapshot{Target: target, Line: plague.LineBuild, Number: n + 1, Parent: n, At: f.now}
}

func (f *farm) wantJob(uid plague.JobID, state plague.JobState) plague.Job {
	f.t.Helper()
	j := f.job(uid)
	if j.State != state {
		f.t.Fatalf("job %d is %s (%s), want %s", uid, j.State, j.Reason, state)
	}
	return j
}

func (f *farm) wantArch(id plague.ArchJobID, state plague.ArchState) plague.ArchJob {
	f.t.Helper()
	a := f.archJob(id)
	if a.State != state {
		f.t.Fatalf("arch job %d is %s (%s), want %s", id, a.State, a.Reason, state)
	}
	return a
}

// unchanged runs an act that must be refused as a conflict and change nothing
// at all.
func (f *farm) unchanged(what string, act func() error) {
	f.t.Helper()
	before := f.dump()
	if err := act(); !errors.Is(err, plague.ErrConflict) {
		f.t.Errorf("%s: error %v, want a conflict", what, err)
	}
	if after := f.dump(); after != before {
		f.t.Errorf("%s changed the database:\nbefore\n%s\nafter\n%s", what, before, after)
	}
}
