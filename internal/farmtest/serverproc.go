package farmtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"
	"plague/internal/notify"
	"plague/internal/repo"
	"plague/internal/server"
	"plague/internal/store"
	"plague/internal/wire"
	"plague/internal/xmlrpc"

	"golang.org/x/sync/errgroup"
)

// Hosts of the server's doors.
const (
	usersHost = "users.farm"
	filesHost = "files.farm"
)

// Site is a server's machine: what its processes leave on the disk, and the
// process that runs now. Two sites over one disk are two leaders.
type Site struct {
	w    *World
	name string

	birth sync.Mutex // held while a process begins

	mu   sync.Mutex // guards the fields below
	proc *process   // nil: none runs
	db   *store.DB  // of the process
}

// Start begins the server unless it runs.
func (s *Site) Start() error {
	s.birth.Lock()
	defer s.birth.Unlock()
	if s.current() != nil {
		return nil
	}
	power := NewPower(s.w.faults(s.name))
	ctx, stop := context.WithCancel(s.w.ctx)
	parts, err := s.open(ctx, power)
	if err != nil {
		stop()
		return fmt.Errorf("start %s: %w", s.name, errors.Join(err, parts.close()))
	}
	p := &process{power: power, stop: stop, ended: make(chan struct{})}
	users, files := parts.srv.UsersDoor(), parts.srv.BuildersDoor()
	shut := []func(){}
	if s.name == mainSite { // the doors of a second server are nobody's address
		shut = append(shut, s.w.net.Listen(ctx, usersHost, power, users), s.w.net.Listen(ctx, filesHost, power, files))
	}
	go func() {
		defer close(p.ended)
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return parts.srv.Run(ctx) })
		g.Go(func() error { return parts.notifier.Run(ctx) })
		if err := g.Wait(); !errors.Is(err, context.Canceled) {
			s.w.trace.Add(s.name, "the server ended by itself: %v", err)
			s.w.broken("6: the server ended by itself: %v", err)
		}
		stop()
		for _, f := range shut {
			f()
		}
		s.mu.Lock()
		s.proc, s.db = nil, nil
		s.mu.Unlock()
		if err := parts.close(); err != nil {
			s.w.trace.Add(s.name, "close: %v", err)
		}
	}()
	s.mu.Lock()
	s.proc, s.db = p, parts.db
	s.mu.Unlock()
	s.w.trace.Add(s.name, "server started")
	return nil
}

// parts are what a server process has open.
type parts struct {
	srv      *server.Server
	notifier *notify.Notifier
	db       *store.DB
	folders  []*durable.Dir
}

func (p *parts) close() error {
	var errs []error
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	for _, d := range p.folders {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

func (p *parts) folder(path string, hook durable.Hook) (*durable.Dir, error) {
	d, err := durable.Open(path, 0o755)
	if err != nil {
		return nil, err
	}
	p.folders = append(p.folders, d)
	return d.WithHook(hook), nil
}

func (s *Site) open(ctx context.Context, power *Power) (*parts, error) {
	p := &parts{}
	log := s.w.trace.Logger(s.name)
	var err error
	p.db, err = store.Open(ctx, s.w.database(), store.Options{Log: log, Hook: func(op string) error { return power.Use("store " + op) }})
	if err != nil {
		return p, err
	}
	files, err := p.folder(s.w.artifacts(), power.Hook())
	if err != nil {
		return p, err
	}
	artifacts, err := artifact.OpenDir(files)
	if err != nil {
		return p, err
	}
	results, err := p.folder(s.w.results(), s.w.reader.Hook(power))
	if err != nil {
		return p, err
	}
	tree, err := repo.Open(results, shaky{s.w, power}, log)
	if err != nil {
		return p, err
	}
	p.srv, err = server.New(ctx, server.Config{
		Name: s.name, DB: p.db, Artifacts: artifacts, Results: results, Tree: tree, Targets: s.w.targets,
		Builders: s.links(power), Reread: func() ([]server.Link, error) { return s.links(power), nil }, Base: &http.Client{Transport: &Caller{s.w.net, s.name, s.name, power}},
		RepoURL: "https://web.farm", Script: s.w.copy,
		CheckSource: func(plague.SCM, string, string) error { return nil },
		Options:     s.w.options, Log: log,
	})
	if err != nil {
		return p, err
	}
	p.notifier, err = notify.New(ctx, notify.Config{Name: s.name, DB: p.db, Email: s.w.office.email(power), Why: p.srv.Why, URL: "https://web.farm", Log: log})
	return p, err
}

func (s *Site) links(power *Power) []server.Link {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	var links []server.Link
	for _, m := range s.w.machines {
		if s.w.absent[m.name] {
			continue
		}
		client := &http.Client{Transport: &Caller{s.w.net, s.name, "server", power}}
		url := "https://" + m.name
		links = append(links, server.Link{
			Name: m.name, URL: url, HTTP: client,
			RPC: &wire.Builder{RPC: &xmlrpc.Client{URL: url + wire.RPCPath, HTTP: client}},
		})
	}
	return links
}

func (s *Site) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Crash kills the process n operations from now and begins the next after a
// while.
func (s *Site) Crash(n int, back time.Duration) {
	p := s.current()
	if p == nil {
		return
	}
	p.power.CutAfter(n)
	s.w.after(func() {
		select {
		case <-p.power.Off():
		case <-p.ended:
		case <-s.w.settling:
		}
		p.kill()
		s.w.trace.Add(s.name, "server is dead")
		s.w.revive(back, s.Start)
	})
}

// Restart ends the process as a service manager does, and begins the next.
func (s *Site) Restart(back time.Duration) {
	s.w.after(func() {
		if p := s.current(); p != nil {
			p.quit()
		}
		s.w.trace.Add(s.name, "server stopped")
		s.w.revive(back, s.Start)
	})
}

// Intrude is another server over the same disk for a while: two leaders.
func (s *Site) Intrude(stay time.Duration, crash int) {
	s.w.after(func() {
		if err := s.Start(); err != nil {
			s.w.trace.Add(s.name, "did not start: %v", err)
			return
		}
		p := s.current()
		if p == nil {
			return
		}
		if crash > 0 {
			p.power.CutAfter(crash)
		}
		s.w.sleep(stay)
		if p.power.On() {
			p.quit()
		} else {
			p.kill()
		}
		s.w.trace.Add(s.name, "second server is gone")
	})
}

// template is a migrated database: to copy it costs less than to make it.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "farmtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "farm.db")
	db, err := store.Open(context.Background(), name, store.Options{})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
})

// shaky makes metadata, as long as there is power, and fails now and then as
// createrepo_c does.
type shaky struct {
	w     *World
	power *Power
}

// Make implements repo.Metadata.
func (m shaky) Make(ctx context.Context, in repo.MakeInput) error {
	if err := m.power.Use("metadata"); err != nil {
		return err
	}
	m.w.mu.Lock()
	fails := !m.w.settled() && m.w.roll("metadata").IntN(8) == 0
	m.w.mu.Unlock()
	if fails {
		return errors.New("createrepo_c: exit status 1")
	}
	return repo.Plain{}.Make(ctx, in)
}
