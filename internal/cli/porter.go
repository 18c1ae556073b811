package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"plague"
	"plague/internal/pki"
	"plague/internal/store"
)

// porter stands behind every handshake that asks for a certificate: it refuses those
// that were revoked, closes their connections when they are, and remembers who came.
type porter struct {
	db  *store.DB
	log *slog.Logger

	mu      sync.Mutex // guards the fields below
	revoked map[string]bool
	conns   map[string]map[*porterConn]bool // open, by fingerprint
	seen    map[string]bool
	unsaved []store.Certificate
	news    chan struct{} // there is something unsaved
}

// maxUnsaved bounds what waits for a database in trouble; whoever comes again is
// remembered then.
const maxUnsaved = 1000

// newPorter knows what is revoked before the first handshake.
func newPorter(ctx context.Context, db *store.DB, log *slog.Logger) (*porter, error) {
	p := &porter{db: db, log: log, revoked: map[string]bool{}, conns: map[string]map[*porterConn]bool{}, seen: map[string]bool{}, news: make(chan struct{}, 1)}
	return p, p.reload(ctx)
}

// porterTick is how long a lost wake-up can matter.
const porterTick = 5 * time.Second

// Run follows what is revoked, until ctx ends.
func (p *porter) Run(ctx context.Context) error {
	w := p.db.Subscribe(store.TopicBuilders)
	defer w.Close()
	tick := time.NewTicker(porterTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.C:
		case <-tick.C:
		case <-p.news:
		}
		if err := p.save(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "certificates that were shown are not written down, will try again", "error", err)
		}
		if err := p.reload(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "cannot ask which certificates are revoked, will try again", "error", err)
		}
	}
}

// reload takes over what is revoked, and closes the connections that it was made for.
func (p *porter) reload(ctx context.Context) error {
	list, err := p.db.Revoked(ctx, time.Now())
	if err != nil {
		return err
	}
	var cut []*porterConn
	p.mu.Lock()
	p.revoked = map[string]bool{}
	for _, print := range list {
		p.revoked[print] = true
		for c := range p.conns[print] {
			cut = append(cut, c)
		}
	}
	p.mu.Unlock()
	for _, c := range cut {
		c.Close() // which also takes it out of conns
	}
	if len(cut) > 0 {
		p.log.InfoContext(ctx, "connections closed: their certificates were revoked", "connections", len(cut))
	}
	return nil
}

// save writes down who came for the first time.
func (p *porter) save(ctx context.Context) error {
	for {
		p.mu.Lock()
		if len(p.unsaved) == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.unsaved[0]
		p.mu.Unlock()
		if err := p.db.SeeCertificate(ctx, c); err != nil {
			return err
		}
		p.mu.Lock()
		p.unsaved = p.unsaved[1:]
		p.mu.Unlock()
	}
}

// admit lets a peer in whose certificate was found good, unless it is revoked; from
// then on its connection can be cut.
func (p *porter) admit(state *tls.ConnectionState, conn *porterConn) error {
	id, err := pki.Peer(state)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revoked[id.Fingerprint] {
		return plague.Refuse(plague.ErrDenied, fmt.Sprintf("the certificate of %q (serial %s) was revoked", id.Name, id.Serial), "`plague cert list` says by whom and why")
	}
	if conn.closed {
		return net.ErrClosed
	}
	if p.conns[id.Fingerprint] == nil {
		p.conns[id.Fingerprint] = map[*porterConn]bool{}
	}
	p.conns[id.Fingerprint][conn] = true
	conn.print = id.Fingerprint
	p.remember(id)
	return nil
}

// remember is called with mu held.
func (p *porter) remember(id pki.Identity) {
	if p.seen[id.Fingerprint] || len(p.unsaved) >= maxUnsaved {
		return
	}
	p.seen[id.Fingerprint] = true
	p.unsaved = append(p.unsaved, certificateRow(id, time.Now()))
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// own remembers the server's own certificate.
func (p *porter) own(id pki.Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(id)
}

// refuses says whether a certificate is revoked.
func (p *porter) refuses(fingerprint string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.revoked[fingerprint]
}

func (p *porter) forget(c *porterConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.closed = true
	delete(p.conns[c.print], c)
	if len(p.conns[c.print]) == 0 {
		delete(p.conns, c.print)
	}
}

// porterConn is a connection that the porter knows until it is closed.
type porterConn struct {
	net.Conn
	porter *porter
	print  string // fingerprint of the peer's certificate, once it is admitted; porter.mu guards it,
	closed bool   // and this
}

func (c *porterConn) Close() error {
	c.porter.forget(c)
	return c.Conn.Close()
}

type porterListener struct {
	net.Listener
	porter *porter
}

func (l porterListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &porterConn{Conn: c, porter: l.porter}, nil
}

// door puts the porter behind a door's own judgement. Beside HTTP it speaks the other
// protocols (ALPN).
func (p *porter) door(cfg *tls.Config, others ...string) *tls.Config {
	outer := cfg.Clone()
	outer.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		now := cfg
		if cfg.GetConfigForClient != nil {
			var err error
			if now, err = cfg.GetConfigForClient(h); err != nil {
				return nil, err
			}
		}
		one := now.Clone()
		one.NextProtos = append([]string{"h2", "http/1.1"}, others...) // which net/http adds to the outer one alone
		one.VerifyConnection = func(state tls.ConnectionState) error {
			if err := now.VerifyConnection(state); err != nil {
				return err
			}
			conn, ok := h.Conn.(*porterConn)
			if !ok {
				return plague.Refuse(plague.ErrDenied, "the connection did not come through a porterListener", "")
			}
			return p.admit(&state, conn)
		}
		return one, nil
	}
	return outer
}

// client puts the porter behind what a client judges of a server. A peer whose
// certificate was revoked is one that nobody listens at.
func (p *porter) client(cfg *tls.Config) *http.Client {
	c := httpsClient(cfg)
	t, ok := c.Transport.(*http.Transport)
	if !ok {
		return c
	}
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, t.TLSHandshakeTimeout)
		defer cancel()
		raw, err := t.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := &porterConn{Conn: raw, porter: p}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		one := cfg.Clone()
		one.ServerName = host
		secure := tls.Client(conn, one)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		state := secure.ConnectionState()
		if err := p.admit(&state, conn); err != nil {
			secure.Close()
			return nil, fmt.Errorf("%w: %w", err, syscall.ECONNREFUSED)
		}
		return secure, nil
	}
	return c
}
