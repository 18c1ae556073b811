// Package dialin turns connections around: a builder that nobody can reach dials a
// server, and the server makes its calls over that connection as it would over one
// of its own. It is HTTP/2 with the ends reversed: who dialled serves.
package dialin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Kind is what a connection is for, and the protocol (ALPN, RFC 7301) that its
// builder asks for. Each has one: logs and results must not hold up orders.
type Kind string

const (
	Control Kind = "plague-control/1" // calls
	Bulk    Kind = "plague-bulk/1"    // files
)

// Kinds are all that a builder dials to each server.
func Kinds() [2]Kind { return [...]Kind{Control, Bulk} }

// A connection on which nothing comes for quiet is asked for a sign of life, which is
// also what keeps the entry in a router's table; without one within answer, or when
// nothing can be written for both together, it is dead. Noticed is that sum.
const (
	quiet  = 10 * time.Second
	answer = 10 * time.Second

	Noticed = quiet + answer
)

// streams is how many calls a builder takes at once on one connection: three logs for
// each of its slots, and downloads.
const streams = 4000

func http2Only() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true) // TLS is below, made by whoever hands in the connection
	return p
}

func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: quiet, PingTimeout: answer, WriteByteTimeout: Noticed, MaxConcurrentStreams: streams}
}

// line is a connection that tells when it has ended and by whom. It also hides a
// *tls.Conn from net/http, which would look for h2 among its protocols.
type line struct {
	net.Conn
	ended chan struct{} // closed when this side has closed it, for whatever reason

	mu     sync.Mutex // guards the fields below
	closed bool
	heard  time.Time // when something came last
	lost   error     // what ended it, if not this side
}

// errFarewell is the end of a line whose other end has said in HTTP/2's words that it
// goes (RFC 9113 §6.8, GOAWAY), as a builder does that is stopped.
var errFarewell = errors.New("the other end has taken its leave")

func newLine(c net.Conn) *line { return &line{Conn: c, ended: make(chan struct{}), heard: time.Now()} }

func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.note(err)
	if n > 0 {
		l.mu.Lock()
		l.heard = time.Now()
		l.mu.Unlock()
	}
	return n, err
}

// Write can be the first to hear that the other machine has hung up, and who calls it
// closes the line then, before Read can tell.
func (l *line) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.note(err)
	return n, err
}

func (l *line) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !l.closed && l.lost == nil {
		l.lost = err
	}
}

// Close is for the HTTP/2 that uses the line, which has no word for the reason: it closes
// one that is broken, as Read or Write has told, one on which nothing has come for
// Noticed, or one whose other end has said farewell.
func (l *line) Close() error {
	l.mu.Lock()
	heard := l.heard
	l.mu.Unlock()
	if time.Since(heard) < quiet {
		l.note(errFarewell)
	}
	return l.hangUp()
}

// hangUp ends the line by this side's own will.
func (l *line) hangUp() error {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if again {
		return nil
	}
	defer close(l.ended)
	if t, ok := l.Conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn().Close() // TLS's own farewell would wait seconds for one who is not there
	}
	return l.Conn.Close()
}

// why is what ended the line from without; nil: this side did.
func (l *line) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// hungUp says whether the other machine has ended the line: it lives, and says that
// nobody is there any more.
func (l *line) hungUp() bool {
	err := l.why()
	return slices.ContainsFunc([]error{errFarewell, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE}, func(end error) bool { return errors.Is(err, end) })
}
