package farmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"plague"
	"plague/internal/builder"
	"plague/internal/durable"
)

// launcher starts supervisors that belong to the machine, not to the daemon:
// they keep to the rules of the real ones' lock and closed files.
type launcher struct {
	m     *Machine
	power *Power // the daemon's
}

// supervisor is one that lives.
type supervisor struct {
	power *Power
	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex // guards the fields below
	phase   plague.Phase
	changed chan struct{} // closed and replaced with every phase
}

var errClosed = errors.New("no supervisor may begin here any more")

// Start begins the one supervisor of a folder.
func (l *launcher) Start(_ context.Context, dir string) error {
	if err := l.power.Use("start a supervisor"); err != nil {
		return err
	}
	m := l.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := os.Lstat(filepath.Join(dir, "outcome.json")); err == nil || m.closed[dir] || m.supervisors[dir] != nil {
		return fmt.Errorf("%s: %w", dir, errClosed)
	}
	power := NewPower(m.w.faults(m.name + " supervisor"))
	work, err := durable.Open(dir, 0o755)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(m.w.ctx)
	s := &supervisor{power: power, stop: stop, ended: make(chan struct{}), changed: make(chan struct{})}
	m.supervisors[dir] = s
	m.starts[dir]++
	m.began.Go(func() {
		b := &backend{m.w, power, m.lies, m.memory}
		err := builder.Supervise(ctx, builder.Supervision{
			Dir: work.WithHook(power.Hook()), Backend: b, Sources: b,
			FetchUID: -1, Hostname: m.name, News: s.news,
		})
		if err != nil {
			m.w.trace.Add(m.name, "supervisor of %s: %v", filepath.Base(dir), err)
		}
		work.Close()
		stop()
		m.mu.Lock()
		delete(m.supervisors, dir)
		m.mu.Unlock()
		close(s.ended)
	})
	return nil
}

func (s *supervisor) news(n builder.News) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Phase != "" {
		s.phase = n.Phase
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Watch tells the phases of a folder's supervisor until it is gone, and then
// closes the folder for others.
func (l *launcher) Watch(ctx context.Context, dir string, news func(builder.News)) error {
	l.m.mu.Lock()
	s := l.m.supervisors[dir]
	if s == nil {
		defer l.m.mu.Unlock()
		if err := l.power.Use("close a folder"); err != nil {
			return err
		}
		l.m.closed[dir] = true
		return nil
	}
	l.m.mu.Unlock()
	for {
		s.mu.Lock()
		phase, changed := s.phase, s.changed
		s.mu.Unlock()
		news(builder.News{Phase: phase, Log: true})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return nil
		case <-changed:
		}
	}
}

// Stop makes a supervisor end its build.
func (l *launcher) Stop(_ context.Context, dir string) error {
	if err := l.power.Use("stop a supervisor"); err != nil {
		return err
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if s := l.m.supervisors[dir]; s != nil {
		s.stop()
	}
	return nil
}

// killSupervisor is kill -9 for one supervisor.
func (m *Machine) killSupervisor(dir string) {
	m.mu.Lock()
	s := m.supervisors[dir]
	m.mu.Unlock()
	if s == nil {
		return
	}
	s.power.CutAfter(0)
	s.stop()
	<-s.ended
	m.w.trace.Add(m.name, "supervisor of %s killed", filepath.Base(dir))
}
