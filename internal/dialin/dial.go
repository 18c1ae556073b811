package dialin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config is what a Dialler is made of.
type Config struct {
	Server string // host:port, for people
	// Dial connects for one protocol (ALPN), and fails unless it was agreed on.
	Dial    func(ctx context.Context, protocol string) (net.Conn, error)
	Handler http.Handler          // what the server calls
	Explain func(err error) error // says why a connection failed; nil: err itself does
	Log     *slog.Logger
}

// A Dialler is a builder's end: it keeps connected to one server.
type Dialler struct {
	Config

	mu    sync.Mutex // guards the field below
	again chan struct{}
}

// NewDialler makes a Dialler; Run makes it dial.
func NewDialler(c Config) *Dialler {
	if c.Explain == nil {
		c.Explain = func(err error) error { return err }
	}
	return &Dialler{Config: c, again: make(chan struct{})}
}

// Redial has connections made anew, with another certificate for example.
func (d *Dialler) Redial() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.again)
	d.again = make(chan struct{})
}

func (d *Dialler) redial() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.again
}

// Run stays connected until ctx ends, for calls and for files.
func (d *Dialler) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, kind := range Kinds() {
		g.Go(func() error { return d.keep(ctx, kind) })
	}
	return g.Wait()
}

// steady is how long a connection lasts that was worth it: after a shorter one the
// pauses go on growing.
const steady = 30 * time.Second

func (d *Dialler) keep(ctx context.Context, kind Kind) error {
	said := ""
	for try := 0; ; try++ {
		again := d.redial()
		began := time.Now()
		err := d.serve(ctx, kind, again)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-again:
			try, said = -1, ""
			continue
		default:
		}
		if time.Since(began) > steady {
			try, said = 0, ""
		}
		if text := d.Explain(err).Error(); text != said {
			said = text
			d.Log.WarnContext(ctx, "not connected to the server, will dial again", "server", d.Server, "for", kind, "error", text)
		}
		t := time.NewTimer(pause(try, rand.Float64()))
		select {
		case <-ctx.Done():
		case <-again:
		case <-t.C:
		}
		t.Stop()
	}
}

// pause is how long to wait before another try: a second, doubled with each until
// longest, and of that between half and the whole, as chance has it: the builders of a
// server that comes back shall not knock in one moment.
func pause(try int, chance float64) time.Duration {
	const first, longest = time.Second, 10 * time.Second
	wait := longest
	if try < 4 {
		wait = min(first<<max(try, 0), longest)
	}
	return wait/2 + time.Duration(chance*float64(wait/2))
}

// Times of a connection's beginning and end.
const (
	greeting = 10 * time.Second // for the server's first word: before it nobody knows whether it took the certificate
	grace    = 5 * time.Second  // for calls that are under way
)

// serve dials, and answers the server's calls until the connection ends.
func (d *Dialler) serve(ctx context.Context, kind Kind, again <-chan struct{}) error {
	conn, err := d.Dial(ctx, string(kind))
	if err != nil {
		return err
	}
	l := newLine(conn)
	defer l.hangUp()
	greeted, err := greet(l)
	if err != nil {
		return err
	}
	d.Log.InfoContext(ctx, "connected to the server", "server", d.Server, "for", kind)
	srv := &http.Server{
		Handler: d.Handler, Protocols: http2Only(), HTTP2: http2Config(), ReadHeaderTimeout: greeting, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(&once{conn: greeted, ended: l.ended}) }()
	select {
	case <-l.ended:
	case <-again:
	case <-ctx.Done():
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = srv.Shutdown(bound) // what it leaves is closed next
	}
	srv.Close()
	l.hangUp()
	<-served
	if err := l.why(); err != nil {
		return err
	}
	return errors.New("the connection has ended")
}

// greet waits for the server's first word.
func greet(l *line) (net.Conn, error) {
	if err := l.SetReadDeadline(time.Now().Add(greeting)); err != nil {
		return nil, err
	}
	r := bufio.NewReader(l)
	if _, err := r.Peek(1); err != nil {
		return nil, fmt.Errorf("the server does not begin: %w", err)
	}
	return greeted{l, r}, l.SetReadDeadline(time.Time{})
}

// greeted is a connection of which some was read.
type greeted struct {
	*line
	r *bufio.Reader
}

func (g greeted) Read(p []byte) (int, error) { return g.r.Read(p) }

// once is a listener to which one connection comes.
type once struct {
	conn  net.Conn
	ended <-chan struct{}

	mu    sync.Mutex // guards the field below
	taken bool
}

func (o *once) Accept() (net.Conn, error) {
	o.mu.Lock()
	first := !o.taken
	o.taken = true
	o.mu.Unlock()
	if first {
		return o.conn, nil
	}
	<-o.ended
	return nil, net.ErrClosed
}

func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return o.conn.LocalAddr() }
