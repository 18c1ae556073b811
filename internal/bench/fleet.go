package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/builder"
	"plague/internal/durable"
)

// A Place is what the farm's configuration has for a simulated builder.
type Place struct {
	Name   string
	Listen string       // host:port of its door
	Door   *tls.Config  // shows its certificate and lets the server in
	Server *http.Client // for SRPMs, at URL
	URL    string       // https://host:port of the builders' door of the server
}

// A machine is a simulated builder: the real daemon behind its real door, whose
// supervisors are goroutines and whose builds are a wait. Its disk is memory: it would
// have one of its own.
type machine struct {
	Place
	slots  int
	arch   string
	dir    string
	ledger *ledger
	build  builder.Backend

	mu   sync.Mutex // guards the field below
	desk *desk      // nil: it is down
	deaf chan struct{}
	stop func() // ends the life that it has
}

// boot begins a life of the machine. What it was doing in an earlier one is lost, but
// for what had ended.
func (m *machine) boot(ctx context.Context) error {
	work, err := durable.Open(m.dir, 0o700)
	if err != nil {
		return err
	}
	srpms, err := work.Sub("srpms")
	if err != nil {
		return errors.Join(err, work.Close())
	}
	store, err := artifact.OpenDir(srpms)
	if err != nil {
		return errors.Join(err, srpms.Close(), work.Close())
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", m.Listen)
	if err != nil {
		return errors.Join(err, work.Close())
	}
	d := newDesk(m.build, m.Name, m.ledger)
	b, err := builder.New(builder.Config{
		Name: m.Name, Software: "bench", Slots: m.slots, Arches: []string{m.arch}, Work: work, SRPMs: store,
		Server: m.Server, ServerURLs: []string{m.URL}, Launcher: d, MinFree: 1, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return errors.Join(err, l.Close(), work.Close())
	}
	srv := &http.Server{Handler: m.unlessDeaf(b.Door()), TLSConfig: m.Door, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	life, end := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = srv.ServeTLS(l, "", "") }) // it ends with Close
	tasks.Go(func() { _ = b.Run(life) })             // it ends with its context
	m.mu.Lock()
	defer m.mu.Unlock()
	m.desk = d
	m.stop = func() {
		srv.Close()
		end()
		d.lose()
		tasks.Wait()
		work.Close()
	}
	return nil
}

// down ends its life as a power failure does.
func (m *machine) down() {
	m.mu.Lock()
	stop := m.stop
	m.desk, m.stop = nil, nil
	m.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// running lists the arch jobs that it builds now.
func (m *machine) running() []plague.ArchJobID {
	m.mu.Lock()
	d := m.desk
	m.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.running()
}

// hush has it hear every call and answer none until the function is called.
func (m *machine) hush() (again func()) {
	deaf := make(chan struct{})
	m.mu.Lock()
	m.deaf = deaf
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		m.deaf = nil
		m.mu.Unlock()
		close(deaf)
	}
}

func (m *machine) unlessDeaf(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		deaf := m.deaf
		m.mu.Unlock()
		if deaf != nil {
			select {
			case <-deaf:
			case <-r.Context().Done():
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// A fleet is all machines of a farm.
type fleet struct {
	machines []*machine
	ledger   *ledger
	dir      string
}

// newFleet boots a machine at each place.
func newFleet(ctx context.Context, places []Place, slots int, arch string, build builder.Backend, l *ledger) (*fleet, error) {
	dir, err := os.MkdirTemp("/dev/shm", "plague-fleet-")
	if err != nil {
		if dir, err = os.MkdirTemp("", "plague-fleet-"); err != nil {
			return nil, err
		}
	}
	f := &fleet{ledger: l, dir: dir}
	for _, p := range places {
		m := &machine{Place: p, slots: slots, arch: arch, dir: filepath.Join(dir, p.Name), ledger: l, build: build}
		if err := m.boot(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("simulated builder %s: %w", p.Name, err), f.close())
		}
		f.machines = append(f.machines, m)
	}
	return f, nil
}

func (f *fleet) close() error {
	var all sync.WaitGroup
	for _, m := range f.machines {
		all.Go(m.down)
	}
	all.Wait()
	return os.RemoveAll(f.dir)
}

// A way to die, and how long until the machine is back.
type death struct {
	kind string
	back time.Duration
}

func deaths() []death {
	return []death{{"restarts", 3 * time.Second}, {"refuses", 40 * time.Second}, {"falls silent", 4 * time.Minute}}
}

// die has one machine after another die in one way after another, so many a minute,
// until ctx ends. pick chooses among n.
func (f *fleet) die(ctx context.Context, perMinute float64, pick func(n int) int) error {
	if perMinute <= 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	var back sync.WaitGroup
	defer back.Wait()
	every := time.Duration(float64(time.Minute) / perMinute)
	for i := 0; ; i++ {
		t := time.NewTimer(every)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		m, how := f.machines[pick(len(f.machines))], deaths()[i%len(deaths())]
		if !f.ledger.dies(m.Name, how.kind, m.running()) {
			continue // it is dead already
		}
		back.Go(func() { f.returns(ctx, m, how) })
	}
}

// returns has a machine die and come back.
func (f *fleet) returns(ctx context.Context, m *machine, how death) {
	defer f.ledger.lives(m.Name)
	again := func() {
		if err := m.boot(context.WithoutCancel(ctx)); err != nil {
			f.ledger.trouble(fmt.Errorf("builder %s does not come back: %w", m.Name, err))
		}
	}
	if how.kind == "falls silent" {
		again = m.hush()
	} else {
		m.down()
	}
	t := time.NewTimer(how.back)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	again()
}
