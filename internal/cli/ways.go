package cli

import (
	"crypto/tls"
	"net/http"
	"sync/atomic"

	"plague/internal/pki"
	"plague/internal/server"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// ways are how a server reaches its builders and knows them at its door. The option
// builders may be read again; the rest of the configuration waits for a restart.
type ways struct {
	cfg  *serverConfig
	keys serverKeys
	now  atomic.Pointer[[]builderAddress]
}

func newWays(cfg *serverConfig, keys serverKeys) *ways {
	w := &ways{cfg: cfg, keys: keys}
	w.now.Store(&cfg.builders)
	return w
}

// reread takes over the option builders as it is in the file now.
func (w *ways) reread() ([]server.Link, error) {
	cfg, err := readServerConfig(w.cfg.file)
	if err != nil {
		return nil, err
	}
	w.now.Store(&cfg.builders)
	return w.links(), nil
}

// links are the ways to the builders: two clients each, so that bulk never
// holds up control.
func (w *ways) links() []server.Link {
	var links []server.Link
	for _, b := range *w.now.Load() {
		client := func() *http.Client {
			return httpsClient(w.allowed(pki.ClientConfig(&w.keys.cert, w.keys.system, expectBuilder(b))))
		}
		links = append(links, server.Link{
			Name: b.name, URL: b.url, HTTP: client(),
			RPC: &wire.Builder{RPC: &xmlrpc.Client{URL: b.url + wire.RPCPath, HTTP: client()}},
		})
	}
	return links
}

// door lets in the builders that are in the option builders now, by name: a
// certificate with a role must have the builder's, one made elsewhere counts
// by its name alone.
func (w *ways) door() *tls.Config {
	current := func() *tls.Config {
		var expect []pki.Expect
		for _, b := range *w.now.Load() {
			expect = append(expect, expectBuilder(b))
		}
		cfg := w.allowed(pki.DoorConfig(w.keys.cert, w.keys.system, expect...))
		cfg.NextProtos = []string{"h2", "http/1.1"} // which net/http adds to the outer one alone
		return cfg
	}
	door := current()
	door.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current(), nil }
	return door
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
