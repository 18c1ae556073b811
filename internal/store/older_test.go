package store_test

import (
	"path/filepath"
	"testing"

	"plague"
	"plague/internal/store"
)

// TestNewerDatabase: a server goes on over a database that one of the version after it
// has used, which only added to it: that is the way back from an upgrade.
func TestNewerDatabase(t *testing.T) {
	for name, make := range map[string]func(testing.TB) string{
		"sqlite":   func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "farm.db") },
		"postgres": postgres,
	} {
		t.Run(name, func(t *testing.T) {
			dsn := make(t)
			f := newFarm(t, dsn)
			for _, q := range []string{
				`ALTER TABLE jobs ADD COLUMN of_tomorrow TEXT NOT NULL DEFAULT ''`,
				`ALTER TABLE arch_jobs ADD COLUMN of_tomorrow TEXT NOT NULL DEFAULT ''`,
				`CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY)`,
				`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, ` + map[bool]string{true: "TRUE", false: "1"}[f.Postgres()] + `)`,
			} {
				if _, err := f.raw().Exec(q); err != nil {
					t.Fatal(err)
				}
			}
			before := f.submit(newJob("before", "1"))
			again, err := store.Open(t.Context(), dsn, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if j, err := again.Job(t.Context(), before); err != nil || j.State != plague.JobWaiting {
				t.Errorf("the job of before: %+v, %v", j, err)
			}
			f.done(f.submit(newJob("after", "1")), "x86_64")
		})
	}
}
