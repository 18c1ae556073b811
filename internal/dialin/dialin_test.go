package dialin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pair is a builder that dials a board over connections which the test can break. It
// has no TLS, which is not this room's.
type pair struct {
	t     *testing.T
	board *Board
	calls chan struct{} // one for each call that has come in
	mu    sync.Mutex    // held while it dials
}

// newPair connects them, in a synctest bubble: the waits take no time.
func newPair(t *testing.T, dial func(context.Context, net.Conn) net.Conn) *pair {
	p := &pair{t: t, board: NewBoard(slog.New(slog.DiscardHandler)), calls: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/heavy", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 8<<20)) })
	mux.HandleFunc("/parked", func(w http.ResponseWriter, r *http.Request) {
		p.calls <- struct{}{}
		<-r.Context().Done()
	})
	d := NewDialler(Config{Server: "farm:8886", Handler: mux, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, protocol string) (net.Conn, error) {
			mine, theirs := net.Pipe()
			p.mu.Lock()
			defer p.mu.Unlock()
			if mine = dial(ctx, mine); mine == nil {
				return nil, syscall.EHOSTUNREACH
			}
			go p.board.Hold(ctx, "builder1", Kind(protocol), theirs)
			return mine, nil
		}})
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func (p *pair) get(kind Kind, path string) (string, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "active://builder1"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.board.Client("builder1", kind).Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func (p *pair) answers() {
	p.t.Helper()
	for _, kind := range Kinds() {
		if got, err := p.get(kind, "/hello"); got != "hello" || err != nil {
			p.t.Fatalf("%s: %q, %v", kind, got, err)
		}
	}
}

func direct(_ context.Context, c net.Conn) net.Conn { return c }

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, direct)
		p.answers()
		if from, since := p.board.Connected("builder1"); from == "" || since.IsZero() {
			t.Errorf("connected from %q since %v", from, since)
		}
		if _, err := p.board.Client("builder2", Control).Get("active://builder2/hello"); err == nil || !strings.Contains(err.Error(), "builder2 is not connected") {
			t.Errorf("one that never dialled: %v", err)
		}
		p.board.Keep(func(name string) bool { return name != "builder1" })
		synctest.Wait()
		if from, _ := p.board.Connected("builder1"); from != "" {
			t.Errorf("still connected from %s", from)
		}
	})
}

// TestSwallowed: a connection that has died without a word is noticed by both ends
// within Noticed, a call that waits on it fails, and the builder dials again.
func TestSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var holes []*hole
		p := newPair(t, func(_ context.Context, c net.Conn) net.Conn {
			h := &hole{Conn: c, shut: make(chan struct{})}
			holes = append(holes, h)
			return h
		})
		p.answers()
		failed := make(chan error, 1)
		go func() { _, err := p.get(Control, "/parked"); failed <- err }()
		<-p.calls
		swallowed := time.Now()
		p.mu.Lock()
		for _, h := range holes {
			close(h.shut)
		}
		p.mu.Unlock()
		err := <-failed
		if err == nil || time.Since(swallowed) > Noticed+time.Second {
			t.Errorf("after %s: %v", time.Since(swallowed), err)
		}
		for time.Since(swallowed) < 2*Noticed {
			if _, err = p.get(Control, "/hello"); err == nil {
				break
			}
			<-time.After(100 * time.Millisecond)
		}
		p.answers()
	})
}

// hole is a connection that swallows everything once it is shut.
type hole struct {
	net.Conn
	shut chan struct{}
}

func (h *hole) Read(p []byte) (int, error) {
	for {
		n, err := h.Conn.Read(p)
		select {
		case <-h.shut:
			if err != nil {
				return 0, err
			}
		default:
			return n, err
		}
	}
}

func (h *hole) Write(p []byte) (int, error) {
	select {
	case <-h.shut:
		return len(p), nil
	default:
		return h.Conn.Write(p)
	}
}

// TestNewerTakesThePlace: of two lines only the newer is used, and what waits on the
// older fails at once.
func TestNewerTakesThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, direct)
		p.answers()
		failed := make(chan error, 1)
		go func() { _, err := p.get(Control, "/parked"); failed <- err }()
		<-p.calls
		began := time.Now()
		second, ours := net.Pipe()
		go p.board.Hold(t.Context(), "builder1", Control, ours)
		srv := &http.Server{Protocols: http2Only(), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "second") })}
		l := newLine(second)
		go srv.Serve(&once{conn: l, ended: l.ended})
		if err := <-failed; err == nil || time.Since(began) > 0 {
			t.Errorf("a call on the older line, after %s: %v", time.Since(began), err)
		}
		synctest.Wait()
		if got, err := p.get(Control, "/hello"); got != "second" || err != nil {
			t.Errorf("%q, %v, want the newer line's answer", got, err)
		}
		l.Close()
		srv.Close()
	})
}

// TestHungUp: a machine that ends its line is one that refuses connections, until it
// dials again; one that fell silent is not.
func TestHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard(slog.New(slog.DiscardHandler))
		mine, theirs := net.Pipe()
		go b.Hold(t.Context(), "builder1", Control, theirs)
		go io.Copy(io.Discard, mine)
		synctest.Wait()
		mine.Close()
		synctest.Wait()
		began := time.Now()
		if _, err := b.Client("builder1", Control).Get("active://builder1/"); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		mine, theirs = net.Pipe()
		go b.Hold(t.Context(), "builder1", Control, theirs)
		go io.Copy(io.Discard, mine)
		<-time.After(Noticed + time.Second) // no answer to the ping
		if _, err := b.Client("builder1", Control).Get("active://builder1/"); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("silent: %v", err)
		}
		b.HangUp("builder1", "was sent away")
		if _, err := b.Client("builder1", Bulk).Get("active://builder1/"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("hung up by us: %v", err)
		}
		mine.Close()
	})
}

// TestFarewell: a builder that is stopped says so in HTTP/2's words before its line ends,
// and with the last answer the server's HTTP/2 ends the line itself: nobody listens
// there any more.
func TestFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard(slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		d := NewDialler(Config{Server: "farm:8886", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-time.After(time.Second) }), Log: slog.New(slog.DiscardHandler),
			Dial: func(_ context.Context, protocol string) (net.Conn, error) {
				mine, theirs := net.Pipe()
				go b.Hold(t.Context(), "builder1", Kind(protocol), theirs)
				return mine, nil
			}})
		go func() { defer close(over); d.Run(ctx) }()
		time.AfterFunc(time.Second/2, stop)
		if resp, err := b.Client("builder1", Control).Get("active://builder1/"); err != nil {
			t.Error(err)
		} else {
			resp.Body.Close()
		}
		<-over
		synctest.Wait()
		began := time.Now()
		if _, err := b.Client("builder1", Control).Get("active://builder1/"); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestRedials: it goes on dialling while nobody answers, at most longest apart, and
// both kinds are there again within seconds when somebody does.
func TestRedials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away, tries := true, 0
		p := newPair(t, func(_ context.Context, c net.Conn) net.Conn {
			tries++
			if away {
				return nil
			}
			return c
		})
		<-time.After(10 * time.Minute)
		p.mu.Lock()
		if tries < 2*60 || tries > 2*130 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		away = false
		p.mu.Unlock()
		began := time.Now()
		p.answers()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("connected again after %s", took)
		}
	})
}

func TestPause(t *testing.T) {
	for try, most := range []time.Duration{1, 2, 4, 8, 10, 10, 10} {
		least, longest := pause(try, 0), pause(try, 1)
		if longest != most*time.Second || least != longest/2 {
			t.Errorf("try %d: %s to %s, want up to %d s", try, least, longest, most)
		}
	}
}

// TestStalledReaders: answers that nobody reads, more than a window of HTTP/2 holds by
// default, hold up no other on their connection.
func TestStalledReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, direct)
		p.answers()
		for range 32 {
			resp, err := p.board.Client("builder1", Bulk).Get("active://builder1/heavy")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
		}
		synctest.Wait()
		began := time.Now()
		if got, err := p.get(Bulk, "/heavy"); len(got) != 8<<20 || err != nil || time.Since(began) > 0 {
			t.Errorf("%d bytes after %s: %v", len(got), time.Since(began), err)
		}
	})
}
