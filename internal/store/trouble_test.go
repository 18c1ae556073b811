package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// TestModes: nobody else may read the farm's database, or anything beside it.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	f := newFarm(t, filepath.Join(dir, "farm.db"))
	db, err := store.Open(f.ctx, filepath.Join(dir, "other.db"), store.Options{Exclusive: true})
	f.must(err)
	defer db.Close()
	f.submit(newJob("ethtool", "1.8"))
	files, err := os.ReadDir(dir)
	f.must(err)
	found := map[string]bool{}
	for _, file := range files {
		info, err := file.Info()
		f.must(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", file.Name(), info.Mode().Perm())
		}
		found[file.Name()] = true
	}
	for _, name := range []string{"farm.db", "farm.db-wal", "farm.db-shm", "other.db.lock"} {
		if !found[name] {
			t.Errorf("there is no %s among %v", name, files)
		}
	}
}

// TestOneServer: a SQLite farm has one server; other programs may write.
func TestOneServer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "farm.db")
	first, err := store.Open(t.Context(), name, store.Options{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), name, store.Options{Exclusive: true}); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("a second server: %v", err)
	}
	manager, err := store.Open(t.Context(), name, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*store.DB{manager, first} {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	again, err := store.Open(t.Context(), name, store.Options{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestLocked: a database that another program holds is out of reach for a
// bounded time, and readers do not notice.
func TestLocked(t *testing.T) {
	f := newFarm(t, filepath.Join(t.TempDir(), "farm.db"))
	hog := f.raw()
	hog.SetMaxOpenConns(1)
	_, err := hog.Exec(`BEGIN IMMEDIATE`)
	f.must(err)
	began := time.Now()
	f.refused(f.SetPaused(f.ctx, f.now, "x", true), plague.ErrUnavailable)
	if took := time.Since(began); took < time.Second || took > 20*time.Second {
		t.Errorf("waited %v", took)
	}
	if _, err := f.Ready(f.ctx, 1); err != nil {
		t.Errorf("a reader: %v", err)
	}
	_, err = hog.Exec(`ROLLBACK`)
	f.must(err)
	f.must(f.SetPaused(f.ctx, f.now, "x", true))
}

// TestNoDatabase: what cannot be a farm's database is refused by name.
func TestNoDatabase(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("no database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(dir, "no", "such", "folder"), dir, garbage} {
		db, err := store.Open(t.Context(), name, store.Options{})
		if err == nil {
			db.Close()
			t.Errorf("%s was opened", name)
			continue
		}
		if !strings.Contains(err.Error(), name) || !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
}

// TestAway: while PostgreSQL is away every call fails as something that may
// pass; when it is back, so is the farm, without being opened again.
func TestAway(t *testing.T) {
	own, err := storetest.Start(false)
	if errors.Is(err, storetest.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Stop() })
	f := newFarm(t, own.Database(t))
	ctx, cancel := context.WithCancel(f.ctx)
	listening := make(chan error, 1)
	go func() { listening <- f.Listen(ctx) }()
	w := f.Subscribe(store.TopicFarm)
	uid := f.submit(newJob("ethtool", "1.8"))
	f.heard(w, func() { f.must(f.SetPaused(f.ctx, f.now, "x", true)); f.must(f.SetPaused(f.ctx, f.now, "x", false)) })
	f.must(own.Halt())
	for range 25 { // as many as there are connections, and more
		_, err := f.Job(f.ctx, uid)
		f.refused(err, plague.ErrUnavailable)
		f.refused(f.Kill(f.ctx, f.now, "x", uid), plague.ErrUnavailable)
		f.refused(f.Leads(f.ctx, f.term), plague.ErrUnavailable)
	}
	f.must(own.Resume())
	f.wantJob(uid, plague.JobWaiting)
	f.must(f.Leads(f.ctx, f.term))
	f.done(uid, "x86_64")
	for woken(w) {
	}
	other := f.open(store.Options{})
	f.heard(w, func() {
		f.must(other.SetPaused(f.ctx, f.now, "x", true))
		f.must(other.SetPaused(f.ctx, f.now, "x", false))
	})
	cancel()
	<-listening
}

// TestPassword: no error and no log line shows the database's password.
func TestPassword(t *testing.T) {
	const secret = "hunter2secret"
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	for _, name := range []string{
		"postgres://plague:" + secret + "@127.0.0.1:1/farm?connect_timeout=2",
		"postgres://plague:" + secret + "@/farm?host=" + t.TempDir(),
		"postgres://plague:" + secret + "@127.0.0.1:port/farm",
		"postgres://plague:" + secret + "@127.0.0.1:1/farm?sslmode=nonsense",
		"postgresql://plague:" + secret + "%zz@127.0.0.1/farm",
		"postgres://127.0.0.1:1/farm?user=plague&password=" + secret,
	} {
		_, err := store.Open(t.Context(), name, store.Options{Log: log})
		if err == nil {
			t.Fatal("opened")
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("shown: %v", err)
		}
		if !errors.Is(err, plague.ErrUnavailable) && !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("kind of %v", err)
		}
	}
	if strings.Contains(said.String(), secret) {
		t.Errorf("logged: %s", &said)
	}
}
