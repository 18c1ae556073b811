package cli

import (
	"net/netip"
	"sync"
	"time"

	"plague"
)

// turnstile lets in what costs something: few at a time, not often, and of each who asks
// fewer still, so that one who knocks all day keeps nobody else out.
type turnstile struct {
	turns chan struct{}
	all   pace

	mu   sync.Mutex // guards the field below
	each map[string]*pace
}

const (
	enterAtOnce    = 4
	enterPerSecond = 10
	enterPerAsker  = 2
	askersKept     = 10_000 // that are remembered
)

func newTurnstile() *turnstile {
	return &turnstile{turns: make(chan struct{}, enterAtOnce), all: pace{most: enterPerSecond}, each: map[string]*pace{}}
}

// enter begins what costs something; before it nothing does but a few bytes.
func (t *turnstile) enter(who string, now time.Time) (leave func(), err error) {
	if t.of(who).goes(now) && t.all.goes(now) {
		select {
		case t.turns <- struct{}{}:
			return func() { <-t.turns }, nil
		default:
		}
	}
	return nil, plague.Refuse(plague.ErrUnavailable, "too many machines ask at once", "try again in a few seconds")
}

// of is the pace of one who asks. Those of long ago are forgotten when there are many.
func (t *turnstile) of(who string) *pace {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.each[who]
	if p == nil {
		if len(t.each) >= askersKept {
			clear(t.each)
		}
		p = &pace{most: enterPerAsker}
		t.each[who] = p
	}
	return p
}

// asker names who asks from an address: of IPv6 its network, which one has alone.
func asker(remote string) string {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	addr := from.Addr().Unmap().WithZone("")
	const network = 64
	if addr.Is6() {
		if p, err := addr.Prefix(network); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// pace lets so many a second pass.
type pace struct {
	most float64

	mu   sync.Mutex // guards the fields below
	left float64
	last time.Time
}

func (p *pace) goes(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left = min(p.most, p.left+now.Sub(p.last).Seconds()*p.most); p.left < 1 {
		p.last = now
		return false
	}
	p.left--
	p.last = now
	return true
}
