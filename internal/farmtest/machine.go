package farmtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/builder"
	"plague/internal/durable"
)

// Machine is a builder's machine: a disk that survives everything, a daemon
// that comes and goes, and supervisors that outlive it.
type Machine struct {
	w      *World
	name   string
	slots  int
	arches []string
	lies   bool // its reports are not what it did
	memory int64
	path   string

	birth sync.Mutex // held while a daemon begins

	mu          sync.Mutex // guards the fields below
	daemon      *process   // nil: none runs
	supervisors map[string]*supervisor
	closed      map[string]bool // attempts' folders in which no supervisor may begin any more
	starts      map[string]int  // supervisors begun, by folder
	began       sync.WaitGroup  // supervisors
}

// process is one life of a daemon or a server.
type process struct {
	power *Power
	stop  context.CancelFunc
	ended chan struct{}
}

// kill ends a process at once; nothing that it does in dying has an effect.
func (p *process) kill() {
	p.power.CutAfter(0)
	p.stop()
	<-p.ended
}

// quit asks a process to end, as SIGTERM does.
func (p *process) quit() {
	p.stop()
	<-p.ended
}

func newMachine(w *World, name string, slots int, arches []string) *Machine {
	return &Machine{
		w: w, name: name, slots: slots, arches: arches, path: filepath.Join(w.dir, name),
		supervisors: map[string]*supervisor{}, closed: map[string]bool{}, starts: map[string]int{},
	}
}

// Start begins the daemon unless it runs.
func (m *Machine) Start() error {
	m.birth.Lock()
	defer m.birth.Unlock()
	if m.current() != nil {
		return nil
	}
	power := NewPower(m.w.faults(m.name))
	b, err := m.open(power)
	if err != nil {
		return fmt.Errorf("start %s: %w", m.name, err)
	}
	ctx, stop := context.WithCancel(m.w.ctx)
	p := &process{power: power, stop: stop, ended: make(chan struct{})}
	shut := m.w.net.Listen(ctx, m.name, power, m.door(b))
	go func() {
		defer close(p.ended)
		_ = b.Run(ctx) // it ends with its context
		shut()
		b.Work.Close()
		m.mu.Lock()
		m.daemon = nil
		m.mu.Unlock()
	}()
	m.mu.Lock()
	m.daemon = p
	m.mu.Unlock()
	m.w.trace.Add(m.name, "daemon started")
	return nil
}

func (m *Machine) open(power *Power) (*builder.Builder, error) {
	work, err := durable.Open(m.path, 0o700)
	if err != nil {
		return nil, err
	}
	work = work.WithHook(power.Hook())
	srpms, err := work.Sub("srpms")
	if err != nil {
		return nil, errors.Join(err, work.Close())
	}
	store, err := artifact.OpenDir(srpms)
	if err != nil {
		return nil, errors.Join(err, srpms.Close(), work.Close())
	}
	b, err := builder.New(builder.Config{
		Name: m.name, Software: "farmtest", Slots: m.slots, Arches: m.arches, Work: work, SRPMs: store,
		Server:     &http.Client{Transport: &Caller{m.w.net, m.name, m.name, power}},
		ServerURLs: []string{"https://" + filesHost}, Launcher: &launcher{m, power}, MinFree: 1,
		Machine: func() plague.Machine { return plague.Machine{Memory: m.memory, FreeMemory: m.memory} }, Log: m.w.trace.Logger(m.name),
	})
	if err != nil {
		return nil, errors.Join(err, work.Close())
	}
	return b, nil
}

// door is the builder's own, or a liar's.
func (m *Machine) door(b *builder.Builder) http.Handler {
	if m.lies {
		return liar{b, m.w}.door()
	}
	return b.Door()
}

// current gives the daemon that runs, or nil.
func (m *Machine) current() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.daemon
}

// Crash kills the daemon n operations from now; it is brought back after a while.
func (m *Machine) Crash(n int, back time.Duration) {
	p := m.current()
	if p == nil {
		return
	}
	p.power.CutAfter(n)
	m.w.after(func() {
		select {
		case <-p.power.Off():
		case <-p.ended:
		case <-m.w.settling:
		}
		p.kill()
		m.w.trace.Add(m.name, "daemon is dead")
		m.w.revive(back, m.Start)
	})
}

// Restart ends the daemon as a service manager does, and begins it again.
func (m *Machine) Restart(back time.Duration) {
	m.w.after(func() {
		if p := m.current(); p != nil {
			p.quit()
		}
		m.w.trace.Add(m.name, "daemon stopped")
		m.w.revive(back, m.Start)
	})
}

// Reboot kills everything on the machine; it is up again after a while.
func (m *Machine) Reboot(back time.Duration) {
	m.w.after(func() {
		if p := m.current(); p != nil {
			p.kill()
		}
		for _, dir := range m.supervised() {
			m.killSupervisor(dir)
		}
		m.w.trace.Add(m.name, "machine is down")
		m.w.revive(back, m.Start)
	})
}

// supervised lists the folders in which supervisors live.
func (m *Machine) supervised() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.supervisors))
}

// kept lists the attempts whose folders are still there.
func (m *Machine) kept() []string {
	entries, err := os.ReadDir(filepath.Join(m.path, "attempts"))
	if err != nil {
		return []string{m.name + ": " + err.Error()}
	}
	var names []string
	for _, e := range entries {
		names = append(names, m.name+" keeps attempt "+e.Name())
	}
	return names
}
