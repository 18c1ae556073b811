package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"plague/internal/store"

	"github.com/pressly/goose/v3"
)

// TestMigrateLists: a farm that has jobs already lists them in the order in which
// they were submitted, requeued ones too.
func TestMigrateLists(t *testing.T) {
	for name, make := range map[string]func(testing.TB) string{
		"sqlite":   func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "farm.db") },
		"postgres": postgres,
	} {
		t.Run(name, func(t *testing.T) {
			dsn := make(t)
			lived(t, name, dsn, 9)
			f := newFarm(t, dsn)
			f.bulk = true // its jobs have no story
			js, err := f.Jobs(f.ctx, store.Filter{Oldest: true, Limit: 10})
			f.must(err)
			var got []int64
			for _, j := range js {
				got = append(got, int64(j.UID), j.SubmittedAt.UnixMicro(), j.QueuedAt.UnixMicro())
			}
			if want := []int64{1, 100, 100, 2, 200, 900, 3, 300, 300}; !slices.Equal(got, want) {
				t.Errorf("uid, submitted, queued: %v, want %v", got, want)
			}
			if !f.Postgres() {
				return
			}
			began := time.Now().Add(-time.Minute)
			_, err = f.raw().Exec(fmt.Sprintf(oldJob, 4, 1, 400))
			f.must(err)
			if j := f.job(4); j.SubmittedAt.Before(began) {
				t.Errorf("a server of the version before submitted at %s", j.SubmittedAt)
			}
		})
	}
}

// oldJob is how a server without that column submits.
const oldJob = `INSERT INTO jobs (uid, run, username, package, source, srpm, srpm_size, target, state, scratch, after_uid, priority, epoch, version, release, queued_at, state_at)
	VALUES (%[1]d, %[2]d, 'dev@example.com', 'p%[1]d', 's', 'd', 1, '` + target + `', 'waiting', 0, 0, 0, '', '', '', %[3]d, %[3]d)`

// lived makes a database of an old version with jobs in it: one, one that was
// requeued, and one of a history, without events.
func lived(t *testing.T, name, dsn string, version int64) {
	t.Helper()
	driver, dialect := "sqlite", goose.DialectSQLite3
	if name == "postgres" {
		driver, dialect = "pgx", goose.DialectPostgres
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(dialect, db, os.DirFS("migrations/"+name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	event := `INSERT INTO events (id, at, uid, arch_job, what, old_state, new_state, who, text) VALUES (%d, %d, %d, 0, 'job', '', 'waiting', '', '')`
	for _, q := range []string{
		fmt.Sprintf(oldJob, 1, 1, 100), fmt.Sprintf(oldJob, 2, 2, 900), fmt.Sprintf(oldJob, 3, 1, 300),
		fmt.Sprintf(event, 11, 100, 1), fmt.Sprintf(event, 12, 200, 2), fmt.Sprintf(event, 13, 900, 2),
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}
