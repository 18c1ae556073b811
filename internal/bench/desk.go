package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"plague"
	"plague/internal/builder"
	"plague/internal/buildroot"
	"plague/internal/durable"
)

// A desk is a machine's Launcher: its supervisors are goroutines, which end with the
// machine's life and leave nothing then.
type desk struct {
	build  builder.Backend
	name   string
	ledger *ledger
	life   context.Context
	end    context.CancelFunc

	mu    sync.Mutex // guards the fields below
	sits  map[string]*sitting
	begun sync.WaitGroup
}

// sitting is one supervisor.
type sitting struct {
	archJob plague.ArchJobID
	stop    context.CancelFunc
	ended   chan struct{}

	mu      sync.Mutex // guards the fields below
	phase   plague.Phase
	changed chan struct{} // closed and replaced with every phase
}

func newDesk(build builder.Backend, name string, l *ledger) *desk {
	ctx, end := context.WithCancel(context.Background())
	return &desk{build: build, name: name, ledger: l, life: ctx, end: end, sits: map[string]*sitting{}}
}

// Start begins the supervisor of an attempt's folder.
func (d *desk) Start(_ context.Context, dir string) error {
	work, err := durable.Open(dir, 0o700)
	if err != nil {
		return err
	}
	archJob, number, err := attemptOf(filepath.Base(dir))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || d.life.Err() != nil || d.sits[dir] != nil {
		return errors.Join(fmt.Errorf("no supervisor begins in %s", dir), err, d.life.Err(), work.Close())
	}
	ctx, stop := context.WithCancel(d.life)
	s := &sitting{archJob: archJob, stop: stop, ended: make(chan struct{}), changed: make(chan struct{})}
	d.sits[dir] = s
	d.ledger.begins(archJob, number, d.name)
	d.begun.Go(func() {
		err := builder.Supervise(ctx, builder.Supervision{Dir: work, Backend: d.build, FetchUID: -1, Hostname: d.name, News: s.news})
		if d.life.Err() != nil { // who lost its power has written nothing
			err = os.Remove(filepath.Join(dir, "outcome.json"))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.ledger.trouble(fmt.Errorf("supervisor of %s on %s: %w", filepath.Base(dir), d.name, err))
		}
		work.Close()
		stop()
		d.mu.Lock()
		delete(d.sits, dir)
		d.mu.Unlock()
		close(s.ended)
	})
	return nil
}

func attemptOf(name string) (id plague.ArchJobID, number int, err error) {
	_, err = fmt.Sscanf(name, "%d-%d", &id, &number)
	return id, number, err
}

func (s *sitting) news(n builder.News) {
	if n.Phase == "" {
		return // nobody follows a log here
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = n.Phase
	close(s.changed)
	s.changed = make(chan struct{})
}

// Watch tells a supervisor's phases until it is gone.
func (d *desk) Watch(ctx context.Context, dir string, news func(builder.News)) error {
	d.mu.Lock()
	s := d.sits[dir]
	d.mu.Unlock()
	for s != nil {
		s.mu.Lock()
		phase, changed := s.phase, s.changed
		s.mu.Unlock()
		news(builder.News{Phase: phase})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return nil
		case <-changed:
		}
	}
	return nil
}

// Stop makes a supervisor end its build.
func (d *desk) Stop(_ context.Context, dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sits[dir]; s != nil {
		s.stop()
	}
	return nil
}

func (d *desk) running() (all []plague.ArchJobID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sits {
		all = append(all, s.archJob)
	}
	return all
}

// lose ends everything, and waits for that.
func (d *desk) lose() {
	d.mu.Lock()
	d.end()
	d.mu.Unlock()
	d.begun.Wait()
}

// waits is a null buildroot in which %build takes its time: most of it little, some of
// it very long, as the builds of a distribution do. What an attempt takes follows from
// its name and the seed.
type waits struct {
	buildroot.Null
	mean time.Duration
	seed uint64
}

// A log-normal distribution with this sigma has its p99 at 33 times its median, and a
// mean of 3 times that.
const (
	tail    = 1.5
	longest = 60 // times the mean
)

func (w waits) Build(ctx context.Context, s buildroot.Spec, log buildroot.Log, out string, phase func(string)) (buildroot.Result, error) {
	t := time.NewTimer(w.length(s.ID))
	defer t.Stop()
	phase(string(plague.PhasePrepping))
	phase(string(plague.PhaseBuilding))
	select {
	case <-ctx.Done():
		return buildroot.Result{Phase: string(plague.PhaseBuilding)}, ctx.Err()
	case <-t.C:
	}
	return w.Null.Build(ctx, s, log, out, func(p string) {
		if p == string(plague.PhaseCleanup) {
			phase(p)
		}
	})
}

func (w waits) length(id string) time.Duration {
	archJob, _, _ := strings.Cut(id, "-") // each attempt takes what the first one would have taken
	h := fnv.New64a()
	h.Write([]byte(archJob))
	r := rand.New(rand.NewPCG(w.seed, h.Sum64()))
	median := float64(w.mean) * math.Exp(-tail*tail/2)
	return time.Duration(min(median*math.Exp(tail*r.NormFloat64()), longest*float64(w.mean)))
}
