package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"plague/internal/dialin"
	"plague/internal/pki"

	"golang.org/x/sync/errgroup"
)

// dialIn is a builder whose servers do not reach it: it keeps connected to all of them,
// and answers their calls there.
type dialIn []*dialin.Dialler

func newDialIn(servers []string, shown *tls.Config, calls http.Handler, log *slog.Logger) dialIn {
	var all dialIn
	for _, server := range servers {
		all = append(all, dialin.NewDialler(dialin.Config{
			Server: server, Handler: calls, Explain: pki.Explain, Log: log,
			Dial: func(ctx context.Context, protocol string) (net.Conn, error) {
				return dialServer(ctx, server, shown, protocol)
			},
		}))
	}
	return all
}

func (all dialIn) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range all {
		g.Go(func() error { return d.Run(ctx) })
	}
	return g.Wait()
}

func (all dialIn) redial() {
	for _, d := range all {
		d.Redial()
	}
}

// dialServer knocks at a server's builders' door for one protocol.
func dialServer(ctx context.Context, server string, shown *tls.Config, protocol string) (net.Conn, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cfg := shown.Clone()
	cfg.NextProtos = []string{protocol}
	d := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: 15 * time.Second}, Config: cfg}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")))
	switch {
	case err != nil && strings.Contains(err.Error(), "no application protocol"):
		return nil, fmt.Errorf("the server takes no builders that dial in: it is too old, or this is not its builders' door: %w", err)
	case err != nil:
		return nil, err
	case conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != protocol:
		conn.Close()
		return nil, errors.New("this is no server that takes builders which dial in")
	}
	return conn, nil
}
