package store_test

import (
	"errors"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// TestOldLeader: whoever leads no more changes nothing.
func TestOldLeader(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		waiting := f.submit(newJob("w", "1"))
		prep := f.submit(newJob("p", "1"))
		f.begin(prep)
		building := f.submit(newJob("b", "1"))
		as := f.build(building, "x86_64", "aarch64")
		a := f.assign(as[0].ID, "b1")
		published := f.submit(newJob("d", "1"))
		f.done(published, "x86_64")
		ps, err := f.ToPublish(f.ctx, target)
		f.must(err)
		old := f.term
		f.term, err = f.Acquire(f.ctx, "test", time.Hour)
		f.must(err)
		if f.term != old+1 {
			t.Errorf("term %d after %d", f.term, old)
		}
		for name, act := range map[string]func() error{
			"Begin":   func() error { _, err := f.Begin(f.ctx, old, f.now, []plague.JobID{waiting}); return err },
			"Build":   func() error { return f.Build(f.ctx, old, f.now, prep, 1, built("x86_64"), pin) },
			"FailJob": func() error { return f.FailJob(f.ctx, old, f.now, prep, 1, plague.JobPrep, "no") },
			"Assign": func() error {
				_, err := f.Assign(f.ctx, old, f.now, []store.Assignment{{ArchJob: as[1].ID, Builder: "b2", Token: "t"}})
				return err
			},
			"Running":        func() error { return f.Running(f.ctx, old, f.now, a, "b1", plague.PhaseBuilding) },
			"Ended":          func() error { return f.Ended(f.ctx, old, f.now, a, "b1", nil, nil, plague.Usage{}) },
			"Back":           func() error { _, err := f.Back(f.ctx, old, f.now, a, "b1", plague.FailureLost, "lost", 5); return err },
			"Publish":        func() error { return f.Publish(f.ctx, old, f.now, f.next(), ps) },
			"PublishWithout": func() error { return f.PublishWithout(f.ctx, old, f.now, f.next(), nil) },
			"RanScript":      func() error { return f.RanScript(f.ctx, old, f.now, store.Script{Target: target}, "") },
			"NoteBuilder":    func() error { return f.NoteBuilder(f.ctx, old, f.now, plague.Builder{Name: "b1"}) },
			"DropUploads":    func() error { _, err := f.DropUploads(f.ctx, old, f.now.Add(time.Hour)); return err },
			"Condemn":        func() error { return f.Condemn(f.ctx, old, f.now, []string{digest("loose")}) },
			"Deleting":       func() error { _, err := f.Deleting(f.ctx, old, f.now, 10); return err },
			"DropBuilders":   func() error { return f.DropBuilders(f.ctx, old, nil) },
			"Leads":          func() error { return f.Leads(f.ctx, old) },
			"Renew":          func() error { return f.Renew(f.ctx, old, "test", time.Hour) },
			"Resign":         func() error { return f.Resign(f.ctx, old, "test") },
		} {
			f.unchanged(name, func() error {
				err := act()
				f.refused(err, store.ErrNotLeader)
				return err
			})
		}
		f.must(f.Leads(f.ctx, f.term))
	})
}

// TestTwoLeaders: on PostgreSQL another leads only when the life of the first
// has run out or it has resigned.
func TestTwoLeaders(t *testing.T) {
	f := newFarm(t, postgres(t))
	other := f.open(store.Options{})
	if _, err := other.Acquire(f.ctx, "other", time.Hour); !errors.Is(err, store.ErrNotLeader) {
		t.Fatalf("a second leader: %v", err)
	}
	f.refused(other.Renew(f.ctx, f.term, "other", time.Hour), store.ErrNotLeader)
	f.refused(other.Resign(f.ctx, f.term, "other"), store.ErrNotLeader)
	f.must(f.Renew(f.ctx, f.term, "test", 50*time.Millisecond))
	next, err := other.Acquire(f.ctx, "other", time.Hour)
	for ; errors.Is(err, store.ErrNotLeader); next, err = other.Acquire(f.ctx, "other", time.Hour) {
	}
	f.must(err)
	if next != f.term+1 {
		t.Errorf("term %d after %d", next, f.term)
	}
	f.refused(f.Leads(f.ctx, f.term), store.ErrNotLeader)
	f.refused(f.Renew(f.ctx, f.term, "test", time.Hour), store.ErrNotLeader)
	f.must(other.Resign(f.ctx, next, "other"))
	if f.term, err = f.Acquire(f.ctx, "test", time.Hour); err != nil || f.term != next+1 {
		t.Errorf("after a resignation: term %d, %v", f.term, err)
	}
}

// TestFence: a new term waits on PostgreSQL until what the leader is just
// doing has ended; it is not done after another leads.
func TestFence(t *testing.T) {
	f := newFarm(t, postgres(t))
	uid := f.submit(newJob("ethtool", "1.8"))
	slow := f.tap()
	reached, pass := slow.stopAt("commit")
	begun := make(chan error, 1)
	go func() {
		_, err := slow.Begin(f.ctx, f.term, f.now, []plague.JobID{uid})
		begun <- err
	}()
	<-reached
	acquired := make(chan error, 1)
	go func() {
		_, err := f.Acquire(f.ctx, "test", time.Hour)
		acquired <- err
	}()
	f.waits("leader")
	close(pass)
	f.must(<-begun)
	f.must(<-acquired)
	f.wantJob(uid, plague.JobPrep)
}

// waits returns when a statement that names a table waits for a lock.
func (f *farm) waits(table string) {
	f.t.Helper()
	db := f.raw()
	for n := 0; n == 0; {
		f.must(db.QueryRowContext(f.ctx, `SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()`, table).Scan(&n))
		f.must(f.ctx.Err())
	}
}
