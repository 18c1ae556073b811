package builder_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/builder"
	"plague/internal/buildroot"
	"plague/internal/durable"
)

// rig is a builder's machine: a disk, supervisors that outlive the daemon, and
// a file server that has one SRPM. It is used within a bubble.
type rig struct {
	t       *testing.T
	dir     string
	minFree int64
	ready   func() error
	takes   func(*plague.Work) error
	backend builder.Backend

	mu     sync.Mutex // guards the fields below
	live   map[string]*supervised
	closed map[string]bool
	starts map[string]int
	all    sync.WaitGroup
}

type supervised struct {
	stop  context.CancelFunc
	ended chan struct{}
}

func newRig(t *testing.T) *rig {
	dir, err := os.MkdirTemp("/dev/shm", "plague-builder-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &rig{t: t, dir: dir, backend: takes(time.Minute), live: map[string]*supervised{}, closed: map[string]bool{}, starts: map[string]int{}}
}

// takes is a backend that leaves one file after a while.
type takes time.Duration

func (d takes) Build(ctx context.Context, s buildroot.Spec, log buildroot.Log, out string, phase func(string)) (buildroot.Result, error) {
	phase("building")
	fmt.Fprintln(log.Build, "building", s.ID)
	t := time.NewTimer(time.Duration(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return buildroot.Result{}, ctx.Err()
	case <-t.C:
	}
	return buildroot.Result{}, os.WriteFile(filepath.Join(out, "tree-1-1.x86_64.rpm"), []byte("an RPM"), 0o644)
}

// Start begins a supervisor that belongs to the machine.
func (r *rig) Start(_ context.Context, dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed[dir] || r.live[dir] != nil {
		return errors.New("closed")
	}
	work, err := durable.Open(dir, 0o755)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &supervised{stop: stop, ended: make(chan struct{})}
	r.live[dir] = s
	r.starts[filepath.Base(dir)]++
	r.all.Go(func() {
		defer work.Close()
		err := builder.Supervise(ctx, builder.Supervision{Dir: work, Backend: r.backend, FetchUID: -1, News: func(builder.News) {}})
		if err != nil {
			r.t.Error(err)
		}
		r.mu.Lock()
		delete(r.live, dir)
		r.mu.Unlock()
		close(s.ended)
	})
	return nil
}

// Watch waits for the supervisor's end, and closes a folder without one.
func (r *rig) Watch(ctx context.Context, dir string, _ func(builder.News)) error {
	r.mu.Lock()
	s := r.live[dir]
	if s == nil {
		r.closed[dir] = true
	}
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return nil
	}
}

// Stop ends the supervisor's build.
func (r *rig) Stop(_ context.Context, dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.live[dir]; s != nil {
		s.stop()
	}
	return nil
}

// stopAll ends what the machine still runs.
func (r *rig) stopAll() {
	r.mu.Lock()
	for _, s := range r.live {
		s.stop()
	}
	r.mu.Unlock()
	r.all.Wait()
}

const srpm = "a source package"

func digest() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(srpm))) }

// RoundTrip is the farm's file server.
func (r *rig) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte(srpm))), Request: req}, nil
}

// daemon is one life of the builder.
type daemon struct {
	*builder.Builder
	stop func()
}

// boot begins a daemon with one slot for x86_64; hook may be nil.
func (r *rig) boot(hook durable.Hook) (*daemon, error) {
	work, err := durable.Open(r.dir, 0o700)
	if err != nil {
		return nil, err
	}
	if hook != nil {
		work = work.WithHook(hook)
	}
	files, err := work.Sub("srpms")
	if err != nil {
		return nil, err
	}
	srpms, err := artifact.OpenDir(files)
	if err != nil {
		return nil, err
	}
	b, err := builder.New(builder.Config{
		Name: "b1", Slots: 1, Arches: []string{"x86_64"}, Targets: []string{"lab-*"}, Work: work, SRPMs: srpms,
		Server: &http.Client{Transport: r}, ServerURLs: []string{"https://farm"}, Launcher: r, MinFree: max(r.minFree, 1), Ready: r.ready, Takes: r.takes,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	return &daemon{b, sync.OnceFunc(func() { cancel(); <-done })}, nil
}

func (r *rig) mustBoot() *daemon {
	r.t.Helper()
	d, err := r.boot(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// run is an order to run an attempt of arch job n.
func run(n plague.ArchJobID, change ...func(*plague.Work)) plague.Order {
	w := &plague.Work{
		Job: 1, Run: 1, Kind: plague.KindBuild, Package: "tree", Target: "lab-12-extras", Arch: "x86_64", RootArch: "x86_64",
		SRPM: plague.Artifact{Name: "tree-1-1.src.rpm", Digest: digest(), Size: int64(len(srpm))},
	}
	for _, f := range change {
		f(w)
	}
	return plague.Order{AttemptID: attempt(n), Verb: plague.VerbRun, Work: w}
}

func attempt(n plague.ArchJobID) plague.AttemptID {
	return plague.AttemptID{ArchJob: n, Number: 1, Token: "token"}
}

func order(n plague.ArchJobID, v plague.Verb) plague.Order {
	return plague.Order{AttemptID: attempt(n), Verb: v}
}

// at are orders of the farm "f" at a term and a sequence, which do not wait.
func at(term, sequence int64, all ...plague.Order) plague.Orders {
	return plague.Orders{Farm: "f", Term: term, Sequence: sequence, Attempts: all}
}

// said finds what a report says of an attempt.
func said(r plague.Report, n plague.ArchJobID) *plague.AttemptReport {
	for _, a := range r.Attempts {
		if a.AttemptID == attempt(n) {
			return &a
		}
	}
	return nil
}
