package dialin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// A Board is the server's end: the lines that builders have dialled, at most one of a
// kind for each. Any goroutine may use it.
type Board struct {
	log *slog.Logger

	mu    sync.Mutex // guards the fields below
	lines map[place]*call
	gone  map[string]string // builders at which nobody listens until they dial again, and why
	news  chan struct{}     // closed and replaced when there is another line, or one less
}

type place struct {
	builder string
	kind    Kind
}

// call is a line that is in use.
type call struct {
	line  *line
	http  *http.ClientConn
	since time.Time
	over  chan struct{} // closed when it is in use no more, nor ever will be
}

// NewBoard makes a board without lines.
func NewBoard(log *slog.Logger) *Board {
	return &Board{log: log, lines: map[place]*call{}, gone: map[string]string{}, news: make(chan struct{})}
}

// Hold uses a connection that a builder has dialled, until it ends or ctx does, and
// closes it. The builder's line before it is ended first: two are never used at once,
// and calls that were under way on it fail like those on any connection that breaks.
func (b *Board) Hold(ctx context.Context, builder string, kind Kind, conn net.Conn) error {
	l := newLine(conn)
	defer l.hangUp()
	t := &http.Transport{
		Protocols: http2Only(), HTTP2: http2Config(), ResponseHeaderTimeout: 90 * time.Second,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return l, nil },
	}
	cc, err := t.NewClientConn(ctx, "http", "builder:80")
	if err != nil {
		return fmt.Errorf("begin calls to builder %s: %w", builder, err)
	}
	at := place{builder, kind}
	c := &call{line: l, http: cc, since: time.Now(), over: make(chan struct{})}
	defer close(c.over)
	b.replace(at, c)
	b.log.InfoContext(ctx, "builder has dialled in", "builder", builder, "for", kind, "from", conn.RemoteAddr())
	select {
	case <-ctx.Done():
	case <-l.ended:
	}
	b.drop(at, c)
	l.hangUp()
	b.log.InfoContext(ctx, "builder's connection has ended", "builder", builder, "for", kind, "from", conn.RemoteAddr(), "reason", l.why())
	return nil
}

// replace puts a line where another may be, whose end it waits for.
func (b *Board) replace(at place, c *call) {
	for {
		b.mu.Lock()
		old := b.lines[at]
		if old == nil {
			b.lines[at] = c
			if at.kind == Control {
				delete(b.gone, at.builder)
			}
			b.changed()
			b.mu.Unlock()
			return
		}
		delete(b.lines, at)
		b.mu.Unlock()
		old.line.hangUp()
		<-old.over
	}
}

func (b *Board) drop(at place, c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines[at] != c {
		return // another is taking its place
	}
	delete(b.lines, at)
	if at.kind == Control && c.line.hungUp() {
		b.gone[at.builder] = "has hung up"
	}
	b.changed()
}

// changed is called with mu held.
func (b *Board) changed() {
	close(b.news)
	b.news = make(chan struct{})
}

// HangUp ends a builder's lines; until it dials again nobody listens there, for a reason
// that begins with a verb.
func (b *Board) HangUp(builder, why string) {
	b.mu.Lock()
	b.gone[builder] = why
	b.changed()
	b.mu.Unlock()
	b.cut(builder)
}

// Keep ends the lines of all builders but those that are wanted.
func (b *Board) Keep(wanted func(builder string) bool) {
	b.mu.Lock()
	var others []string
	for at := range b.lines {
		if !wanted(at.builder) {
			others = append(others, at.builder)
		}
	}
	b.mu.Unlock()
	for _, name := range others {
		b.cut(name)
	}
}

func (b *Board) cut(builder string) {
	for _, kind := range Kinds() {
		b.mu.Lock()
		c := b.lines[place{builder, kind}]
		b.mu.Unlock()
		if c != nil {
			c.line.hangUp()
		}
	}
}

// Connected says from where a builder has dialled in for calls, and since when; zero: it
// has not.
func (b *Board) Connected(builder string) (from string, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.lines[place{builder, Control}]; c != nil {
		return c.line.RemoteAddr().String(), c.since
	}
	return "", time.Time{}
}

// Client makes requests over a builder's line of a kind, whatever address they name. A
// builder that has hung up is one that refuses connections; for any other that is not
// there it waits as long as a dial may take.
func (b *Board) Client(builder string, kind Kind) *http.Client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{CheckRedirect: stay, Transport: over{b, place{builder, kind}}}
}

type over struct {
	board *Board
	at    place
}

func (o over) RoundTrip(r *http.Request) (*http.Response, error) {
	cc, err := o.board.find(r.Context(), o.at)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return cc.RoundTrip(r)
}

// dialTime is how long a builder may be waited for that is dialling, perhaps.
const dialTime = 10 * time.Second

func (b *Board) find(ctx context.Context, at place) (*http.ClientConn, error) {
	t := time.NewTimer(dialTime)
	defer t.Stop()
	for {
		b.mu.Lock()
		c, gone, news := b.lines[at], b.gone[at.builder], b.news
		b.mu.Unlock()
		switch {
		case c != nil:
			return c.http, nil
		case gone != "":
			return nil, fmt.Errorf("builder %s %s: %w", at.builder, gone, syscall.ECONNREFUSED)
		}
		select {
		case <-news:
			continue
		case <-t.C:
		case <-ctx.Done():
		}
		return nil, fmt.Errorf("builder %s is not connected, and it has to dial in by itself", at.builder)
	}
}
