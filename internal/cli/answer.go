package cli

import (
	"context"
	"crypto/tls"
	"time"

	"plague/internal/dialin"
	"plague/internal/pki"
	"plague/internal/server"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// active is the way to a builder that dials in.
func (w *ways) active(b builderAddress) server.Link {
	return server.Link{
		Name: b.name, URL: b.url, Joined: b.joined, HTTP: w.board.Client(b.name, dialin.Bulk),
		RPC:     &wire.Builder{RPC: &xmlrpc.Client{URL: b.url + wire.RPCPath, HTTP: w.board.Client(b.name, dialin.Control)}},
		Dialled: func() (string, time.Time) { return w.board.Connected(b.name) },
	}
}

// dialsIn says whether a builder is one that does.
func (w *ways) dialsIn(name string) bool {
	for _, b := range *w.now.Load() {
		if b.name == name {
			return b.active()
		}
	}
	return false
}

// answer has a connection used that a builder has dialled, as long as it lasts. The door
// has judged its certificate; none outlives it, nor its revocation.
func (w *ways) answer(ctx context.Context, kind dialin.Kind, conn *tls.Conn) {
	state := conn.ConnectionState()
	id, err := pki.Peer(&state)
	if err != nil {
		return
	}
	if !w.dialsIn(id.Name) {
		w.misdialled(ctx, id.Name, conn)
		return
	}
	ctx, cancel := context.WithDeadline(ctx, id.NotAfter)
	defer cancel()
	if err := w.board.Hold(ctx, id.Name, kind, conn); err != nil {
		w.porter.log.WarnContext(ctx, "connection of a builder not used", "builder", id.Name, "error", err)
	}
	if w.porter.refuses(id.Fingerprint) {
		w.board.HangUp(id.Name, "shows a certificate that was revoked") // one that nobody listens at
	}
}

// misdialled tells once of a builder that dials in and should not.
func (w *ways) misdialled(ctx context.Context, name string, conn *tls.Conn) {
	w.mu.Lock()
	told := w.told[name]
	w.told[name] = true
	w.mu.Unlock()
	if !told {
		w.porter.log.WarnContext(ctx, "a builder dials in that this server calls", "builder", name, "from", conn.RemoteAddr(),
			"hint", "name it "+activeScheme+name+" in the option builders, or have it join again with --active; or set mode = passive on it")
	}
}
