package farmtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Network joins the processes. A host answers while a process has it; the
// messages between two hosts meet the fate that the seed gives them.
type Network struct {
	seed  uint64
	trace *Trace
	ctx   context.Context // of messages whose sender has given up
	end   context.CancelFunc
	stray sync.WaitGroup // those messages

	mu    sync.Mutex // guards the fields below
	hosts map[string]*host
	dice  map[string]*rand.Rand // by direction
	away  map[string]time.Time  // hosts that are out of reach until then
	calm  bool
}

// host is a door that a process has opened.
type host struct {
	handler http.Handler
	power   *Power
	ctx     context.Context // of the process
	calls   sync.WaitGroup  // counted up while the host is in the map only
}

// NewNetwork is a network without hosts, until Close.
func NewNetwork(ctx context.Context, seed uint64, t *Trace) *Network {
	n := &Network{seed: seed, trace: t, hosts: map[string]*host{}, dice: map[string]*rand.Rand{}, away: map[string]time.Time{}}
	n.ctx, n.end = context.WithCancel(ctx)
	return n
}

// Close ends what is still under way.
func (n *Network) Close() {
	n.end()
	n.stray.Wait()
}

// reach finds who listens, for one call that the caller counts down.
func (n *Network) reach(name string) (*host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil || !h.power.On() {
		return nil, fmt.Errorf("dial %s: %w", name, syscall.ECONNREFUSED)
	}
	h.calls.Add(1)
	return h, nil
}

// Listen opens a door until ctx ends; close waits for the calls under way.
func (n *Network) Listen(ctx context.Context, name string, p *Power, h http.Handler) (close func()) {
	here := &host{handler: h, power: p, ctx: ctx}
	n.mu.Lock()
	n.hosts[name] = here
	n.mu.Unlock()
	return func() {
		n.mu.Lock()
		if n.hosts[name] == here {
			delete(n.hosts, name)
		}
		n.mu.Unlock()
		here.calls.Wait()
	}
}

// Away puts a host out of reach for a while: messages to it vanish.
func (n *Network) Away(name string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[name] = time.Now().Add(d)
}

// Calm ends all faults; what is put out of reach from now on is.
func (n *Network) Calm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calm = true
	clear(n.away)
}

// A fate is what happens to one message.
type fate int

const (
	arrives   fate = iota
	lost           // it does not arrive, and nobody says so
	reset          // it does not arrive, and the sender hears of it
	replyLost      // it arrives, its answer does not
	doubled        // it arrives twice
	late           // the sender gives up, and then it arrives
	cut            // its answer breaks off
)

func (f fate) String() string {
	return [...]string{"arrives", "lost", "reset", "reply lost", "doubled", "late", "cut"}[f]
}

// faultOneIn is how many messages there are to a fault.
const faultOneIn = 25

// roll decides over one message, and how long it takes.
func (n *Network) roll(from, to string) (f fate, delay time.Duration, r uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	away := time.Now().Before(n.away[to]) || time.Now().Before(n.away[from])
	if n.calm {
		if away {
			f = lost
		}
		return f, time.Millisecond, 0
	}
	way := from + ">" + to
	d := n.dice[way]
	if d == nil {
		sum := fnv.New64a()
		io.WriteString(sum, way)
		d = rand.New(rand.NewPCG(n.seed, sum.Sum64()))
		n.dice[way] = d
	}
	odds, delay, r := d.IntN(faultOneIn*6), time.Duration(d.IntN(20_000))*time.Microsecond, d.Uint64()
	if odds < 6 {
		f = fate(odds + 1)
	}
	if away {
		f = lost
	}
	return f, delay, r
}

// A Caller is one process' way into the network. What it calls learns its name,
// as TLS would tell.
type Caller struct {
	Net  *Network
	From string // its host
	Name string // in its certificate
	Up   *Power
}

// latest is how long after its sender has given up a message may still arrive.
const latest = 3 * time.Minute

// silence is how long a client waits for the beginning of an answer.
const silence = 90 * time.Second

// RoundTrip carries one message and its answer.
func (c *Caller) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.Up.Use("message"); err != nil {
		return nil, err
	}
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body.Close()
	}
	to := req.URL.Host
	f, delay, r := c.Net.roll(c.From, to)
	if f != arrives {
		c.Net.trace.Add("network", "%s: %s > %s %s %s", f, c.From, to, req.Method, req.URL.RequestURI())
	}
	if err := pause(req.Context(), delay); err != nil {
		return nil, err
	}
	m := &message{Caller: c, to: to, req: req, body: body}
	switch f {
	case lost:
		return nil, m.vanish()
	case reset:
		return nil, m.broken()
	case replyLost:
		return nil, errors.Join(m.broken(), m.drop(req.Context()))
	case doubled:
		c.Net.stray.Go(func() { m.drop(c.Net.ctx) })
	case late:
		c.Net.stray.Go(func() {
			if pause(c.Net.ctx, time.Duration(r%uint64(latest))) == nil {
				m.drop(c.Net.ctx)
			}
		})
		return nil, m.vanish()
	}
	resp, err := m.exchange(req.Context())
	if err == nil && f == cut {
		resp.Body = &cutBody{resp.Body, int64(r % 4000)}
	}
	return resp, err
}

// pause waits, unless the sender gives up before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
