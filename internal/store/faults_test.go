package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

var errInjected = errors.New("the disk is on fire")

// TestEveryFault breaks each statement and commit of a farm's day, one after
// the other. Whatever breaks, the one call fails, what it did is undone, and
// the day goes on where it was when the database is opened and the call is made
// again.
func TestEveryFault(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		db := f.tap()
		ops := 0
		db.set(func(string) error { ops++; return nil })
		f.day(t, db.DB, "count", nil)
		if ops < 100 {
			t.Fatalf("a day has %d operations", ops)
		}
		step := 1
		if f.Postgres() {
			step = 7 // the same code runs; every seventh shows that the transactions do, too
		}
		for k := 1; k <= ops; k += step {
			n := 0
			db.set(func(op string) error {
				if n++; n == k {
					return fmt.Errorf("%w at %q", errInjected, op)
				}
				return nil
			})
			var broken error
			f.day(t, db.DB, fmt.Sprint("k", k), &broken)
			if broken == nil {
				t.Fatalf("operation %d of %d did not break", k, ops)
			}
		}
	})
}

// day is the whole life of a job with all that may come. A call that fails by
// the injected fault is made once more, on the database opened anew.
func (f *farm) day(t *testing.T, db *store.DB, name string, broken *error) {
	t.Helper()
	try := func(act func() error) {
		t.Helper()
		err := act()
		if errors.Is(err, errInjected) && broken != nil && *broken == nil {
			if *broken = err; !errors.Is(err, plague.ErrUnavailable) {
				t.Errorf("kind of %v", err)
			}
			db = f.open(store.Options{}) // as after a crash
			err = act()
		}
		f.must(err)
	}
	var (
		uid plague.JobID
		js  []plague.Job
		as  []plague.ArchJob
		got []plague.AttemptID
		d   *store.Download
		err error
	)
	first := db
	defer func() {
		if db != first {
			f.must(db.Close())
		}
	}()
	n := newJob(name, "1")
	try(func() error { return db.AddUpload(f.ctx, f.now, n.User, n.SRPM, 1) })
	try(func() error { uid, err = db.Submit(f.ctx, f.now, n); return err })
	try(func() error { return db.Kill(f.ctx, f.now, "x", uid) })
	try(func() error { return db.Requeue(f.ctx, f.now, "x", uid) })
	try(func() error { js, err = db.Ready(f.ctx, 10); return err })
	try(func() error { _, err = db.Begin(f.ctx, f.term, f.now, uids(js)); return err })
	try(func() error {
		return db.Build(f.ctx, f.term, f.now, uid, 2, built("x86_64", "aarch64"), pin)
	})
	try(func() error { as, err = db.ArchJobs(f.ctx, uid, 2); return err })
	for i, a := range as {
		assign := func() error {
			got, err = db.Assign(f.ctx, f.term, f.now, []store.Assignment{{ArchJob: a.ID, Builder: "b1", Token: "t"}})
			return err
		}
		try(assign)
		if i == 0 {
			try(func() error {
				_, err := db.Back(f.ctx, f.term, f.now, got[0], "b1", plague.FailureLost, "lost", 5)
				return err
			})
			try(assign)
		}
		try(func() error { return db.Running(f.ctx, f.term, f.now, got[0], "b1", plague.PhaseBuilding) })
		try(func() error {
			return db.Ended(f.ctx, f.term, f.now, got[0], "b1", nil, []plague.Artifact{{Name: "build.log", Digest: digest("log")}}, plague.Usage{})
		})
		try(func() error {
			d, err = storetest.Only(db.ClaimDownloads(f.ctx, f.now, "test", time.Minute, 1, 100))
			return err
		})
		try(func() error { return db.DownloadLater(f.ctx, d, "test", f.now, false, "busy") })
		try(func() error {
			d, err = storetest.Only(db.ClaimDownloads(f.ctx, f.now, "test", time.Minute, 1, 100))
			return err
		})
		try(func() error { return db.Accept(f.ctx, f.now, d, "test", results(d, d.Arch, name)) })
	}
	var ps []store.Publication
	try(func() error { ps, err = db.ToPublish(f.ctx, target); return err })
	s := f.next()
	try(func() error { return db.Publish(f.ctx, f.term, f.now, s, ps) })
	f.wantJob(uid, plague.JobNeedSign)
	try(func() error { _, err = db.DropUploads(f.ctx, f.term, f.now.Add(time.Hour)); return err })
	loose := []string{digest("loose"), digest("spared")}
	try(func() error { return db.Condemn(f.ctx, f.term, f.now, loose) })
	try(func() error { return db.Spare(f.ctx, loose[1:]) })
	try(func() error { _, err = db.Deleting(f.ctx, f.term, f.now.Add(time.Hour), 10); return err })
	try(func() error { return db.Deleted(f.ctx, loose[:1]) })
	try(func() error { _, err := db.Discard(f.ctx, f.now, digest("bad")); return err })
}

// TestSharedCommit: callers who share a commit do not share their troubles.
func TestSharedCommit(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		db := f.tap()
		taken := f.submit(newJob("taken", "1"))
		f.must(f.Kill(f.ctx, f.now, "x", taken))
		reached, pass := db.stopAt("begin") // whoever comes now has to wait, and comes together
		first := make(chan error, 1)
		go func() { first <- db.AddEvent(f.ctx, plague.Event{At: f.now, What: "test", Text: "first"}) }()
		<-reached
		ctx, cancel := context.WithCancel(f.ctx)
		var wg sync.WaitGroup
		var mu sync.Mutex
		errs := map[string][]error{}
		call := func(name string, act func() error) {
			wg.Go(func() {
				err := act()
				mu.Lock()
				defer mu.Unlock()
				errs[name] = append(errs[name], err)
			})
		}
		for i := range 5 {
			call("good", func() error { return db.AddEvent(f.ctx, plague.Event{At: f.now, What: "test", Text: fmt.Sprint(i)}) })
			call("refused", func() error { return db.Kill(f.ctx, f.now, "x", taken) })
			call("gone", func() error { return db.AddEvent(ctx, plague.Event{At: f.now, What: "test", Text: "never"}) })
		}
		cancel()
		close(pass)
		f.must(<-first)
		wg.Wait()
		for i := range 5 {
			f.must(errs["good"][i])
			f.refused(errs["refused"][i], plague.ErrConflict, "killed")
			if err := errs["gone"][i]; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that has gone: %v", err)
			}
		}
		es, err := f.Events(f.ctx, 0, 1000)
		f.must(err)
		count := map[string]int{}
		for _, e := range es {
			if e.What == "test" {
				count[e.Text]++
			}
		}
		for _, text := range []string{"first", "0", "1", "2", "3", "4"} {
			if count[text] != 1 {
				t.Errorf("event %q is there %d times", text, count[text])
			}
		}
		written := 0
		for _, err := range errs["gone"] {
			if err == nil {
				written++
			}
		}
		if count["never"] != written {
			t.Errorf("%d callers were told that it is written, %d are", written, count["never"])
		}
	})
}

// TestFailedCommit: when the shared commit fails, nobody is told that it is
// written, and nothing is.
func TestFailedCommit(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		db := f.tap()
		before := f.dump()
		var broken atomic.Bool
		broken.Store(true)
		db.set(func(op string) error {
			if op == "commit" && broken.Load() {
				return errInjected
			}
			return nil
		})
		w := db.Subscribe(store.TopicEvents)
		defer w.Close()
		var acts []func() error
		for i := range 8 {
			acts = append(acts, func() error { return db.AddEvent(f.ctx, plague.Event{At: f.now, What: "test", Text: fmt.Sprint(i)}) })
		}
		for _, err := range together(acts...) {
			f.refused(err, errInjected)
		}
		if after := f.dump(); after != before {
			t.Errorf("before\n%s\nafter\n%s", before, after)
		}
		select {
		case <-w.C:
			t.Error("woken for what was not written")
		default:
		}
		broken.Store(false)
		f.must(acts[0]())
		<-w.C
	})
}

// TestBubble: SQLite's store works in a bubble of synctest, where a goroutine
// that it left behind, or a lock that it waits in, would stop time for ever.
func TestBubble(t *testing.T) {
	name := filepath.Join(t.TempDir(), "farm.db")
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, name)
		listening := make(chan error, 1)
		ctx, cancel := context.WithCancel(f.ctx)
		go func() { listening <- f.Listen(ctx) }()
		w := f.Subscribe(store.TopicJobs)
		defer w.Close()
		var acts []func() error
		for i := range 8 {
			n := newJob(fmt.Sprint("p", i), "1")
			acts = append(acts, func() error {
				time.Sleep(time.Duration(i) * time.Second)
				return errors.Join(f.AddUpload(f.ctx, time.Now(), n.User, n.SRPM, 1), func() error { _, err := f.Submit(f.ctx, time.Now(), n); return err }())
			})
		}
		for _, err := range together(acts...) {
			f.must(err)
		}
		<-w.C
		f.done(1, "x86_64")
		f.publish()
		cancel()
		if err := <-listening; !errors.Is(err, context.Canceled) {
			t.Errorf("listening ended with %v", err)
		}
	})
}
