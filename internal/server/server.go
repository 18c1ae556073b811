// Package server is the life of a job: what users ask for, what the leader
// plans, what builders report, what is published. Decisions are pure functions
// (orders.go, judge.go, and the room sched); everything else here acts.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/buildlog"
	"plague/internal/durable"
	"plague/internal/repo"
	"plague/internal/store"
	"plague/internal/why"
	"plague/internal/wire"

	"golang.org/x/sync/errgroup"
)

// A Link is the way to one builder: its calls, and its files below URL.
type Link struct {
	Name string // in its certificate
	URL  string // https://host:port; active://name of one that dials in
	RPC  *wire.Builder
	HTTP *http.Client
	// Joined: by a token; the others are in the option builders, which is its owner's.
	Joined bool
	// Dialled says from where it has dialled in to this server, and since when; zero: it
	// has not. nil: it does not dial in.
	Dialled func() (from string, since time.Time)
}

// Options are the times and limits of a farm. The zero value works.
type Options struct {
	Lease         time.Duration // how long a silent builder keeps its arch jobs; default 2m
	Refused       time.Duration // how long one that refuses connections does; default 10s
	Tick          time.Duration // how long a lost wake-up can matter; default 5s
	Attempt       time.Duration // longest an attempt may take; default 24h
	Prep          time.Duration // longest that prep may be tried, with base repositories out of reach for example; default 1h
	Publish       time.Duration // longest that publishing may be tried; default 24h
	InfraBudget   int           // attempts of a run that infrastructure trouble may cost; default 5
	LostBudget    int           // attempts of a run that lost builders may cost; default 20
	DownloadTries int           // tries to fetch the files of one attempt in which nothing comes; default 5
	Download      time.Duration // longest that fetching them may be tried, however much comes; default 24h
	MaxSRPM       int64         // bytes of one SRPM; default 4 GiB
	MaxFile       int64         // bytes of one result file; default 8 GiB
	Quota         int64         // bytes of uploads one user may have, or have begun, that no job refers to; default 16 GiB
	LeaderLife    time.Duration // how long a silent leader stays one, where there are several servers; default 15s
	Takes         Takes         // what jobs may name; default: SRPMs and tags
	SRPMs         string        // folder on the server whose SRPMs enqueue takes by path; empty: none
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Lease, 2*time.Minute)
	set(&o.Refused, 10*time.Second)
	set(&o.Tick, 5*time.Second)
	set(&o.Attempt, 24*time.Hour)
	set(&o.Prep, time.Hour)
	set(&o.Publish, 24*time.Hour)
	set(&o.Download, 24*time.Hour)
	set(&o.LeaderLife, 15*time.Second)
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	count(&o.InfraBudget, 5)
	count(&o.LostBudget, 20)
	count(&o.DownloadTries, 5)
	size := func(n *int64, v int64) {
		if *n == 0 {
			*n = v
		}
	}
	size(&o.MaxSRPM, 4<<30)
	size(&o.MaxFile, 8<<30)
	size(&o.Quota, 16<<30)
	return o
}

// Config is what a Server is made of. All of it is immutable once it runs.
type Config struct {
	Name      string // of this server among others; also its leader's row
	Software  string // version of the program, for the orders
	DB        *store.DB
	Artifacts *artifact.Dir
	Results   *durable.Dir // server_work_dir: plain files that any web server may serve
	Tree      *repo.Tree
	Targets   []plague.Target        // to begin with, see Reload and Offered
	Builders  []Link                 // the same
	Hooks     []string               // names of the configuration's
	Reread    func() ([]Link, error) // reads the option builders again; nil: it cannot
	// Joined gives all builders with those that have joined since; nil: none can.
	Joined  func(context.Context) ([]Link, error)
	Base    *http.Client // for the base repositories
	RepoURL string       // https://host:port of the repositories, as builders reach it
	// CheckSource refuses what cannot be a package and a tag of an SCM. It asks nobody.
	CheckSource func(scm plague.SCM, pkg, tag string) error

	Script  Scripter     // runs repository scripts
	Events  http.Handler // the stream of events, for users
	Options Options
	Log     *slog.Logger
}

// Server is one server of a farm. Any number may run over one PostgreSQL
// database; one of them leads.
type Server struct {
	Config
	Why  *why.Asker
	farm string
	logs buildlog.Hub
	pins pinCache
	up   context.Context    // until Run is told to end, see whileUp
	end  context.CancelFunc // of up

	roster    *roster
	catalogue *catalogue
	replan    chan struct{} // some builder's room has changed
	plans     plans
	troubles  troubles

	mu       sync.Mutex // guards the field below
	capacity map[string]capacity
}

// New makes a server; Run makes it work.
func New(ctx context.Context, c Config) (*Server, error) {
	farm, err := c.DB.FarmID(ctx)
	if err != nil {
		return nil, err
	}
	c.Options = c.Options.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Config: c, farm: farm, capacity: map[string]capacity{}, roster: newRoster(c.Builders), catalogue: newCatalogue(c.Targets), replan: make(chan struct{}, 1)}
	s.up, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.Why = s.asker()
	return s, nil
}

// Run leads when it can, and does its share of the chores whether it leads or
// not, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.end)()
	if err := s.DB.Unclaim(ctx, s.Name); err != nil {
		s.Log.WarnContext(ctx, "downloads claimed by an earlier run wait for their lease", "error", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.DB.Listen(ctx) })
	g.Go(func() error { return s.rereading(ctx) })
	g.Go(func() error { return s.draining(ctx) })
	g.Go(func() error { return s.leadership(ctx) })
	g.Go(func() error { return s.downloads(ctx) })
	return g.Wait()
}
