package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// A history looks like one that was lived: counted, listed, and left alone by
// whoever looks for work.
func TestHistory(t *testing.T) {
	const n = 20_100 // more than one statement makes
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "farm"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.AddHistory(t.Context(), time.Now(), "lab-12-extras", "x86_64", n); err != nil {
		t.Fatal(err)
	}
	counts, err := db.Counts(t.Context())
	if err != nil || counts[plague.JobFailed] != n/25 || counts[plague.JobNeedSign] != n-n/25 {
		t.Errorf("%v, %v", counts, err)
	}
	jobs, err := db.Jobs(t.Context(), store.Filter{Limit: 2})
	if err != nil || len(jobs) != 2 || jobs[0].UID != n || jobs[0].Target != "lab-12-extras" || !jobs[0].QueuedAt.After(jobs[1].QueuedAt) {
		t.Fatalf("%v, %v", jobs, err)
	}
	if as, err := db.ArchJobs(t.Context(), n, 1); err != nil || len(as) != 1 || as[0].Arch != "x86_64" || !as[0].State.Final() {
		t.Errorf("%v, %v", as, err)
	}
	if ready, err := db.Ready(t.Context(), 10); err != nil || len(ready) > 0 {
		t.Errorf("to begin: %v, %v", ready, err)
	}
	if err := db.AddHistory(t.Context(), time.Now(), "lab-12-extras", "x86_64", n); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("a second history: %v", err)
	}
}
