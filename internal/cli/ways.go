package cli

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"plague/internal/dialin"
	"plague/internal/pki"
	"plague/internal/server"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// ways are how a server reaches its builders and knows them at its door. The option
// builders may be read again, and machines join; the rest of the configuration waits for a restart.
type ways struct {
	cfg    *serverConfig
	keys   serverKeys
	porter *porter
	board  *dialin.Board // of the builders that dial in
	now    atomic.Pointer[[]builderAddress]

	mu     sync.Mutex // guards the fields below
	named  []builderAddress
	joined []builderAddress
	told   map[string]bool // builders that dial in and should not: the log has it
}

// newWays has the builders of the configuration, and those that have joined by a token.
func newWays(ctx context.Context, cfg *serverConfig, keys serverKeys, p *porter, board *dialin.Board) (*ways, error) {
	w := &ways{cfg: cfg, keys: keys, porter: p, board: board, named: cfg.builders}
	_, err := w.rejoin(ctx)
	return w, err
}

// reread takes over the option builders as it is in the file now.
func (w *ways) reread() ([]server.Link, error) {
	cfg, err := readServerConfig(w.cfg.file)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.named = cfg.builders
	return w.all(), nil
}

// rejoin takes over the builders that have joined by a token.
func (w *ways) rejoin(ctx context.Context) ([]server.Link, error) {
	enrolled, err := w.porter.db.Enrolled(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.joined = nil
	for _, e := range enrolled {
		w.joined = append(w.joined, builderAddress{url: e.URL, name: e.Name, joined: true})
	}
	return w.all(), nil
}

// all takes over who is a builder now. Of two that have one name the one in the option
// builders counts: an operator has written it. The caller holds mu.
func (w *ways) all() []server.Link {
	all := slices.Clone(w.named)
	for _, j := range w.joined {
		if !slices.ContainsFunc(w.named, func(b builderAddress) bool { return b.name == j.name }) {
			all = append(all, j)
		}
	}
	w.now.Store(&all)
	w.told = map[string]bool{}
	w.board.Keep(w.dialsIn)
	return w.links()
}

// links are the ways to the builders: two clients each, so that bulk never
// holds up control.
func (w *ways) links() []server.Link {
	var links []server.Link
	for _, b := range *w.now.Load() {
		if b.active() {
			links = append(links, w.active(b))
			continue
		}
		client := func() *http.Client {
			return w.porter.client(w.allowed(pki.ClientConfig(&w.keys.cert, w.keys.system, expectBuilder(b))))
		}
		links = append(links, server.Link{
			Name: b.name, URL: b.url, Joined: b.joined, HTTP: client(),
			RPC: &wire.Builder{RPC: &xmlrpc.Client{URL: b.url + wire.RPCPath, HTTP: client()}},
		})
	}
	return links
}

// door lets in the builders that are in the option builders now or have joined, by name: a
// certificate with a role must have the builder's, one made elsewhere counts
// by its name alone.
func (w *ways) door() *tls.Config {
	current := func() *tls.Config {
		var expect []pki.Expect
		for _, b := range *w.now.Load() {
			expect = append(expect, expectBuilder(b))
		}
		return w.allowed(pki.DoorConfig(w.keys.cert, w.keys.system, expect...))
	}
	door := current()
	door.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current(), nil }
	return w.porter.door(door, string(dialin.Control), string(dialin.Bulk))
}

func (w *ways) allowed(cfg *tls.Config) *tls.Config {
	if w.cfg.tls12 {
		return pki.AllowTLS12(cfg)
	}
	return cfg
}

func expectBuilder(b builderAddress) pki.Expect {
	return pki.Expect{Role: pki.RoleBuilder, Name: b.name}
}
