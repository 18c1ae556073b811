package farmtest

import (
	"errors"
	"sync"

	"plague/internal/durable"
)

// Power is what a process lives on. Every store statement, file operation and
// message of the process asks it first; once it is cut nothing that the process
// does has any effect, clean-ups included. That is what kill -9 looks like from
// outside, at a moment that can be chosen to the operation.
type Power struct {
	fault func(op string) error // an error that one operation meets; may be nil
	off   chan struct{}         // closed when cut

	mu   sync.Mutex // guards the fields below
	used int
	last int // the operation after which it is cut; 0: none
	cut  bool
}

// NewPower is power that is on. fault is asked at every operation.
func NewPower(fault func(op string) error) *Power {
	return &Power{fault: fault, off: make(chan struct{})}
}

var errDead = errors.New("the process is dead")

// Use asks for one operation.
func (p *Power) Use(op string) error {
	p.mu.Lock()
	p.used++
	if p.last > 0 && p.used > p.last {
		p.cutLocked()
	}
	cut := p.cut
	p.mu.Unlock()
	if cut {
		return errDead
	}
	if p.fault == nil {
		return nil
	}
	return p.fault(op)
}

// CutAfter cuts the power n operations from now.
func (p *Power) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = p.used + n
	if n == 0 {
		p.cutLocked()
	}
}

func (p *Power) cutLocked() {
	if !p.cut {
		p.cut = true
		close(p.off)
	}
}

// Off is closed when the power has been cut.
func (p *Power) Off() <-chan struct{} { return p.off }

// On says whether the process still lives.
func (p *Power) On() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.cut
}

// Hook makes a folder's operations need the power.
func (p *Power) Hook() durable.Hook {
	return func(op, _ string) error { return p.Use("file " + op) }
}
