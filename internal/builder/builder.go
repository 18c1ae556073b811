// Package builder is the life of a slot: from the server's orders to a
// supervised build, and from its files to the server's report. The daemon
// decides nothing about jobs: it does what orders say and says what is.
package builder

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"

	"golang.org/x/sync/errgroup"
)

// A Launcher starts supervisors and speaks with them. A supervisor is a
// process of its own: it goes on when the daemon dies, and the next daemon
// finds it by its attempt's folder.
type Launcher interface {
	// Start begins the supervisor of the attempt in a folder. It may be
	// called once for a folder.
	Start(ctx context.Context, dir string) error
	// Watch tells what the supervisor does until it ends, or ctx does. When
	// none lives in the folder it returns nil at once: then the folder says
	// how it ended.
	Watch(ctx context.Context, dir string, news func(News)) error
	// Stop makes the supervisor end its build now, by force if it is deaf. It
	// may return before that, and is called again then, or wait for it until
	// ctx ends. No supervisor: no error.
	Stop(ctx context.Context, dir string) error
}

// News is something that a supervisor tells while it works.
type News struct {
	Phase plague.Phase // empty: unchanged
	Log   bool         // some log has grown
}

// Config is what a Builder is made of. All of it is immutable once it runs.
type Config struct {
	Name     string // in its certificate
	Software string // version of the program, for the report
	Slots    int
	Arches   []string
	Emulated []string     // of Arches, see plague.Report
	Targets  []string     // empty: any
	Work     *durable.Dir // journal and attempts
	SRPMs    *artifact.Dir
	Server   *http.Client // for SRPMs, at ServerURLs
	// ServerURLs are the builders' doors of the farm's servers: https://host:port
	ServerURLs []string
	Launcher   Launcher
	// Ready says why it cannot build now what it is there for, beside what it
	// finds out itself; nil: it can. It is asked again and again.
	Ready func() error
	// Takes says why it cannot build this, though arch and target are among its
	// own; nil: it can.
	Takes func(*plague.Work) error
	// Machine says what the machine has; FreeDisk is the builder's own to say. nil:
	// it is not known. It is asked again and again.
	Machine func() plague.Machine
	MinFree int64 // bytes that must be free on Work's disk to take on more; default 1 GiB
	Log     *slog.Logger
}

// Builder is the daemon. Sync and Report may be called from any goroutine
// while Run runs.
type Builder struct {
	Config
	instance string
	begin    chan *attempt // accepted, for Run to begin
	done     chan struct{} // closed when Run ends: parked calls end first
	doubt    chan struct{} // an attempt had trouble that may be the machine's

	mu        sync.Mutex // guards the fields below
	fence     Bound
	attempts  map[plague.AttemptID]*attempt
	version   int64
	changed   chan struct{} // closed and replaced with every change of the report
	parked    chan struct{} // closed when newer orders come: the call that waits answers
	suspended string
	apart     string // version of the server that does not fit, as last logged; empty: it does
	leaving   bool   // it stays suspended, see HandBack
	machine   plague.Machine
	cause     string // of suspended, in which no figure changes
	unready   string // what Ready said last
}

// New makes a builder out of what its work folder says it had: a daemon that
// was killed comes back knowing what it ran.
// It asks Ready once before it says anything.
func New(c Config) (*Builder, error) {
	if c.MinFree == 0 {
		c.MinFree = MinFree
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	b := &Builder{
		Config: c, instance: rand.Text(), begin: make(chan *attempt, 1024), done: make(chan struct{}), doubt: make(chan struct{}, 1),
		attempts: map[plague.AttemptID]*attempt{}, changed: make(chan struct{}), parked: make(chan struct{}), version: 1,
	}
	if err := b.dropSRPMs(); err != nil {
		return nil, err
	}
	if err := b.readFence(); err != nil {
		return nil, err
	}
	if err := b.readJournal(); err != nil {
		return nil, err
	}
	b.examine()
	return b, nil
}

// MinFree is the default of Config.MinFree, in bytes.
const MinFree = 1 << 30

// diskTick is how often the free space is looked at.
const diskTick = 10 * time.Second

// Run works on the attempts until ctx ends. Supervisors go on after that.
func (b *Builder) Run(ctx context.Context) error {
	defer close(b.done)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case a := <-b.begin:
				g.Go(func() error { b.work(ctx, a); return nil })
			}
		}
	})
	g.Go(func() error {
		for {
			t := time.NewTimer(diskTick)
			select {
			case <-ctx.Done():
				t.Stop()
				return ctx.Err()
			case <-t.C:
				b.mu.Lock()
				b.measure()
				b.expire(time.Now())
				b.mu.Unlock()
			}
		}
	})
	g.Go(func() error { return b.examining(ctx) })
	return g.Wait()
}

// measure looks at the disk. A builder without room, or that is not ready, suspends
// itself, says so, and comes back by itself when that is over. b.mu is held.
func (b *Builder) measure() {
	if b.leaving {
		return
	}
	free, err := b.Work.Free()
	why, cause := b.unready, b.unready
	switch {
	case err != nil:
		why, cause = fmt.Sprintf("its disk cannot be asked for free space: %v", err), "disk"
	case int64(free) < b.MinFree:
		why, cause = fmt.Sprintf("its disk is full: %d MiB free at %s, %d MiB needed", free>>20, b.Work.Path(), b.MinFree>>20), "disk"
	}
	if b.Machine != nil {
		b.machine = b.Machine()
	}
	b.machine.FreeDisk = int64(free)
	if cause == b.cause {
		return
	}
	b.suspended, b.cause = why, cause
	b.Log.Warn("suspension changed", "builder", b.Name, "reason", why)
	b.touch()
}

// touch makes the report a new one and wakes whoever waits for it. b.mu is held.
func (b *Builder) touch() {
	b.version++
	close(b.changed)
	b.changed = make(chan struct{})
}

// Report is all that the builder runs and has finished.
func (b *Builder) Report() plague.Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.report()
}

func (b *Builder) report() plague.Report {
	r := plague.Report{
		Builder: b.Name, Instance: b.instance, Version: b.version, Software: b.Software,
		Farm: b.fence.Farm, Term: b.fence.Term, Sequence: b.fence.Sequence,
		Slots: b.Slots, Arches: b.Arches, Emulated: b.Emulated, Targets: b.Targets, Suspended: b.suspended, Free: b.machine.FreeDisk, Now: time.Now(),
		Memory: b.machine.Memory, FreeMemory: b.machine.FreeMemory, Load: b.machine.Load, Labels: b.machine.Labels,
	}
	for _, a := range b.attempts {
		r.Attempts = append(r.Attempts, a.report)
	}
	return r
}
