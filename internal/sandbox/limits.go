package sandbox

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// WithLimits adds the limits of time and output to a sandbox that only knows
// how to stop when its context ends. The other limits are the sandbox's own.
func WithLimits(inner Sandbox) Sandbox { return limited{inner} }

type limited struct{ inner Sandbox }

// limit is the cause with which a limit ends the context of a run.
type limit string

func (l limit) Error() string { return string(l) }

func (s limited) Run(ctx context.Context, c Command) (Result, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if c.Limits.Wall > 0 {
		t := time.AfterFunc(c.Limits.Wall, func() { stop(limit(TimeOut)) })
		defer t.Stop()
	}
	out := &meter{out: c.Output, limits: c.Limits, stop: stop}
	if out.out == nil {
		out.out = io.Discard
	}
	if c.Limits.Idle > 0 {
		out.quiet = time.AfterFunc(c.Limits.Idle, func() { stop(limit(Idle)) })
		defer out.quiet.Stop()
	}
	c.Output = out
	begun := time.Now()
	res, err := s.inner.Run(ctx, c)
	res.Took, res.Output = time.Since(begun), out.written()
	var why limit
	if errors.As(context.Cause(ctx), &why) && res.Reason == Killed || why == TooLong && err == nil {
		res.Reason = string(why) // output that was cut is no result, even if the command ended before it was stopped
	}
	return res, err
}

// meter counts what passes, cuts it at the limit and knows when it was last fed.
type meter struct {
	out    io.Writer
	limits Limits
	stop   context.CancelCauseFunc
	quiet  *time.Timer

	mu sync.Mutex // guards n: a fake may write from several goroutines
	n  int64
}

func (m *meter) Write(p []byte) (int, error) {
	if m.quiet != nil {
		m.quiet.Reset(m.limits.Idle)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := p
	if room := m.limits.Output - m.n; m.limits.Output > 0 && int64(len(p)) > room {
		keep = p[:max(room, 0)]
		m.stop(limit(TooLong))
	}
	n, err := m.out.Write(keep)
	m.n += int64(n)
	if err != nil {
		return n, err
	}
	return len(p), nil // the rest is drained: the command is about to be killed
}

func (m *meter) written() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}
