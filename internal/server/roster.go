package server

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"plague"
	"plague/internal/auth"
	"plague/internal/store"
	"plague/internal/xmlrpc"

	"golang.org/x/sync/errgroup"
)

// roster is the builders of the configuration, which may be read again while the
// server runs, and those that have joined by a token.
type roster struct {
	mu      sync.Mutex // guards the fields below
	links   []Link
	pokes   map[string]chan struct{} // by builder: its orders have changed
	changed chan struct{}            // closed when links is another
	drains  map[string]store.Drain   // by builder: the last; nil: not asked yet
}

func newRoster(links []Link) *roster {
	r := &roster{pokes: map[string]chan struct{}{}, changed: make(chan struct{})}
	r.set(links)
	return r
}

// set takes over what was read. The way to a builder stays the same, with its
// connections, if its name and address do.
func (r *roster) set(links []Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	links = slices.Clone(links)
	for i, l := range links {
		if at := slices.IndexFunc(r.links, l.same); at >= 0 {
			links[i] = r.links[at]
			links[i].Joined = l.Joined
		}
		if r.pokes[l.Name] == nil {
			r.pokes[l.Name] = make(chan struct{}, 1)
		}
	}
	r.links = links
	close(r.changed)
	r.changed = make(chan struct{})
}

func (l Link) same(other Link) bool { return l.Name == other.Name && l.URL == other.URL }

// now gives the builders, and what is closed when there are others.
func (r *roster) now() ([]Link, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.links, r.changed
}

func (r *roster) find(name string) (Link, bool) {
	links, _ := r.now()
	at := slices.IndexFunc(links, func(l Link) bool { return l.Name == name })
	if at < 0 {
		return Link{}, false
	}
	return links[at], true
}

func (r *roster) names() (names []string) {
	links, _ := r.now()
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}

// pokeOf is what wakes the loop that attends to a builder; nil: there was never one.
func (r *roster) pokeOf(name string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pokes[name]
}

// askTime is how long a builder may take to answer whether it is there.
const askTime = 3 * time.Second

// updateBuilders reads the option builders again, here and on all other servers, and
// asks each builder at once whether it is there.
func (s *Server) updateBuilders(ctx context.Context, _ []any) (any, error) {
	u, err := s.may(ctx, auth.Builders, "")
	if err != nil {
		return nil, err
	}
	if err := s.reread(); err != nil {
		return nil, err
	}
	names := s.roster.names()
	if err := s.DB.BuildersRead(ctx, time.Now(), u.Email, strings.Join(names, " ")); err != nil {
		return nil, err
	}
	s.Log.InfoContext(ctx, "builders read again", "user", u.Email, "builders", names)
	silent := s.askAll(ctx)
	records, err := s.builderRecords(ctx)
	for i, r := range records {
		if why := silent[r.Name]; why != nil {
			records[i].Alive, records[i].FreeSlots, records[i].Suspended = false, 0, "it does not answer: "+why.Error()
		}
	}
	if err != nil {
		return nil, err
	}
	return xmlrpc.Marshal(records)
}

func (s *Server) reread() error {
	if s.Reread == nil {
		return plague.Refuse(plague.ErrConflict, "this server cannot read its builders again", "restart it")
	}
	links, err := s.Reread()
	if err == nil {
		s.roster.set(links)
	}
	return err
}

// rejoin takes over the builders that have joined, or left.
func (s *Server) rejoin(ctx context.Context) error {
	links, err := s.Joined(ctx)
	if err != nil {
		return err
	}
	if now, _ := s.roster.now(); !slices.EqualFunc(now, links, Link.same) {
		s.roster.set(links)
	}
	return nil
}

// askAll asks all builders at once, and gives why those did not answer that did not.
func (s *Server) askAll(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	links, _ := s.roster.now()
	errs := make([]error, len(links))
	var g errgroup.Group
	for i, l := range links {
		g.Go(func() error {
			_, errs[i] = l.RPC.NumSlots(ctx)
			return nil
		})
	}
	_ = g.Wait() // none of them gives an error
	silent := map[string]error{}
	for i, l := range links {
		silent[l.Name] = errs[i]
	}
	return silent
}

// rereading follows who has joined, and what other servers of the farm were told: each
// reads its own configuration.
func (s *Server) rereading(ctx context.Context) error {
	w := s.DB.Subscribe(store.TopicBuilders)
	defer w.Close()
	known := int64(-1) // what was read at the start is new enough for all that was asked before
	for {
		asked, err := s.DB.Roster(ctx)
		if err == nil && known >= 0 && asked > known && s.Reread != nil {
			err = s.reread()
		}
		if err == nil && s.Joined != nil {
			err = s.rejoin(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.again(ctx, "reading builders again", err)
		} else {
			known = asked
		}
		if !store.Wait(ctx, w.C, rereadTick) {
			return ctx.Err()
		}
	}
}

// rereadTick is how long a lost wake-up can matter, and a configuration that cannot be
// read stays unread.
const rereadTick = 30 * time.Second
