package notify_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"plague"
	"plague/internal/durable"
	"plague/internal/notify"
	"plague/internal/pki"
	"plague/internal/store"
	"plague/internal/store/storetest"
	"plague/internal/why"
)

// cluster is the PostgreSQL of this test process; absent says why there is none.
// mailCert is what mail servers show; the process trusts its CA as it would one
// of the system's. TestMain alone writes them.
var (
	cluster  *storetest.Cluster
	absent   error
	mailCert tls.Certificate
)

func TestMain(m *testing.M) {
	cluster, absent = storetest.Start(false)
	if absent != nil && !errors.Is(absent, storetest.ErrAbsent) {
		fmt.Fprintln(os.Stderr, absent)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "plague-notify")
	if err == nil {
		err = trust(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if absent == nil {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// trust makes a CA and lets this process trust it.
func trust(dir string) error {
	if err := pki.CreateCA(dir, "mail", pki.Subject{}); err != nil {
		return err
	}
	ca, err := pki.LoadCA(dir, "mail")
	if err != nil {
		return err
	}
	cert, key, err := ca.Issue(pki.Request{Role: pki.RoleServer, Name: "mail.example.com"})
	if err != nil {
		return err
	}
	if mailCert, err = tls.X509KeyPair(cert, key); err != nil {
		return err
	}
	return os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "mail_ca_cert.pem"))
}

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, test func(t *testing.T, f *farm)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, newFarm(t, filepath.Join(t.TempDir(), "farm.db"))) })
	t.Run("postgres", func(t *testing.T) {
		if absent != nil {
			t.Skip(absent)
		}
		test(t, newFarm(t, cluster.Database(t)))
	})
}

const target = "lab-12-extras"

// farm is a database with a leader, a result tree, and the steps of a job's
// life.
type farm struct {
	*store.DB
	t       testing.TB
	ctx     context.Context
	name    string
	term    store.Term
	results *durable.Dir
	broken  atomic.Pointer[func(op string) error] // asked before each statement
}

func newFarm(t testing.TB, name string) *farm {
	t.Helper()
	f := &farm{t: t, ctx: t.Context(), name: name}
	f.DB = f.open()
	term, err := f.Acquire(f.ctx, "test", time.Hour)
	f.must(err)
	f.term = term
	f.results, err = durable.Open(t.TempDir(), 0o755)
	f.must(err)
	t.Cleanup(func() { f.results.Close() })
	return f
}

func sqlite(t testing.TB) *farm { return newFarm(t, filepath.Join(t.TempDir(), "farm.db")) }

// open opens the database once more, as another server does.
func (f *farm) open() *store.DB {
	f.t.Helper()
	db, err := store.Open(f.ctx, f.name, store.Options{Hook: func(op string) error {
		if broken := f.broken.Load(); broken != nil {
			return (*broken)(op)
		}
		return nil
	}})
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

// quick are times in which a test can see what takes hours otherwise.
func quick() notify.Options {
	return notify.Options{Tick: 20 * time.Millisecond, Gather: time.Millisecond, Lease: 2 * time.Second, Timeout: 300 * time.Millisecond, Retry: 10 * time.Millisecond,
		Longest: 50 * time.Millisecond}
}

// start runs a Notifier of a server of that name; stop ends it.
func (f *farm) start(c notify.Config) (stop func()) {
	f.t.Helper()
	if c.DB == nil {
		c.DB = f.DB
	}
	if c.Name == "" {
		c.Name = "server"
	}
	c.Why, c.URL = &why.Asker{DB: f.DB, Results: f.results, LogDir: logDir}, "https://plague.example.com"
	c.Log = slog.New(slog.NewTextHandler(f.t.Output(), nil))
	n, err := notify.New(f.ctx, c)
	f.must(err)
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			f.t.Errorf("the notifier ended with %v", err)
		}
	}
	f.t.Cleanup(stop)
	return stop
}

func logDir(j plague.Job, a plague.ArchJob) string {
	return path.Join(j.Target, fmt.Sprintf("%d-%s", j.UID, j.NVR()), "attempts", fmt.Sprintf("%d-%s-%d", a.Run, a.Arch, a.Attempt))
}

func digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// submit submits a job of a user.
func (f *farm) submit(user, pkg string, scratch bool) plague.JobID {
	f.t.Helper()
	n := store.NewJob{User: user, Package: pkg, Source: pkg + "-1-1.src.rpm", SRPM: digest(pkg), SRPMSize: 10, Target: target, Epoch: "0", Version: "1", Release: "1", Scratch: scratch}
	f.must(f.AddUpload(f.ctx, time.Now(), user, n.SRPM, n.SRPMSize))
	uid, err := f.Submit(f.ctx, time.Now(), n)
	f.must(err)
	return uid
}

func (f *farm) begin(uid plague.JobID) {
	f.t.Helper()
	begun, err := f.Begin(f.ctx, f.term, time.Now(), []plague.JobID{uid})
	f.must(err)
	if len(begun) != 1 {
		f.t.Fatalf("job %d did not begin", uid)
	}
}

// build runs a job on every arch; failing arches leave these logs.
func (f *farm) build(uid plague.JobID, arches []string, failing map[string]map[string]string) {
	f.t.Helper()
	f.begin(uid)
	j, err := f.Job(f.ctx, uid)
	f.must(err)
	var built []plague.Decision
	for _, arch := range arches {
		built = append(built, plague.Decision{Arch: arch, Built: true, Roots: []string{arch}})
	}
	f.must(f.Build(f.ctx, f.term, time.Now(), uid, j.Run, built, plague.Pin{}))
	as, err := f.ArchJobs(f.ctx, uid, j.Run)
	f.must(err)
	for _, a := range as {
		ids, err := f.Assign(f.ctx, f.term, time.Now(), []store.Assignment{{ArchJob: a.ID, Builder: "b1", Token: rand.Text()}})
		f.must(err)
		var failure *plague.Failure
		if logs, fails := failing[a.Arch]; fails {
			failure = &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "rpmbuild ended with status 1"}
			now, err := f.ArchJob(f.ctx, a.ID)
			f.must(err)
			f.logs(logDir(j, now), logs)
		}
		f.must(f.Running(f.ctx, f.term, time.Now(), ids[0], "b1", plague.PhaseBuilding))
		f.must(f.Ended(f.ctx, f.term, time.Now(), ids[0], "b1", failure, nil, plague.Usage{}))
		d, err := storetest.Only(f.ClaimDownloads(f.ctx, time.Now(), "test", time.Minute, 1, 100))
		f.must(err)
		file := fmt.Sprintf("%s-1-1.%s.rpm", j.Package, a.Arch)
		f.must(f.Accept(f.ctx, time.Now(), d, "test", []store.JobFile{{Arch: a.Arch, Run: j.Run, Attempt: d.Number,
			Artifact: plague.Artifact{Name: file, Digest: digest(file), Size: 9}, RPM: &store.RPM{Name: j.Package, Version: "1", Release: "1", Arch: a.Arch}}}))
	}
}

func (f *farm) logs(dir string, logs map[string]string) {
	f.t.Helper()
	f.must(f.results.MkdirAll(dir, 0o755))
	for name, text := range logs {
		f.must(f.results.WriteFile(path.Join(dir, name), []byte(text), 0o644))
	}
}

// publish publishes everything that waits for it.
func (f *farm) publish() {
	f.t.Helper()
	ps, err := f.ToPublish(f.ctx, target)
	f.must(err)
	n, err := f.Current(f.ctx, target, plague.LineBuild)
	f.must(err)
	f.must(f.Publish(f.ctx, f.term, time.Now(), plague.Snapshot{Target: target, Line: plague.LineBuild, Number: n + 1, Parent: n}, ps))
}

// until waits for something to become true.
func (f *farm) until(what string, is func() bool) {
	f.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-end:
			f.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// settled waits until every mail has ended.
func (f *farm) settled() {
	f.t.Helper()
	f.until("the outbox is empty", func() bool {
		ms, err := f.Outbox(f.ctx, true, 10)
		f.must(err)
		return len(ms) == 0
	})
}
