package server

import (
	"slices"
	"sync"
	"time"

	"plague/internal/wire"
)

// plans is how long the newest plans took.
type plans struct {
	mu     sync.Mutex // guards the fields below
	count  int
	newest [wire.PlansKept]time.Duration
}

func (p *plans) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest[p.count%len(p.newest)] = d
	p.count++
}

func (p *plans) told() wire.Plans {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := slices.Clone(p.newest[:min(p.count, len(p.newest))])
	if len(kept) == 0 {
		return wire.Plans{}
	}
	slices.Sort(kept)
	at := func(share float64) float64 {
		return float64(kept[min(len(kept)-1, int(share*float64(len(kept))))].Microseconds()) / 1000
	}
	return wire.Plans{Count: p.count, P50: at(0.5), P99: at(0.99)}
}
