package farmtest

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Trace is everything that happened in a schedule, in the order in which it
// was said, with the time of the bubble.
type Trace struct {
	began time.Time // immutable

	mu   sync.Mutex // guards the fields below
	text strings.Builder
}

// NewTrace begins at this moment.
func NewTrace() *Trace { return &Trace{began: time.Now()} }

// Add notes one thing that somebody did.
func (t *Trace) Add(who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(&t.text, "%10.3f %-10s %s\n", time.Since(t.began).Seconds(), who, fmt.Sprintf(format, args...))
}

func (t *Trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// Logger gives a process a log that ends in the trace.
func (t *Trace) Logger(who string) *slog.Logger {
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(logLine{t, who}, &slog.HandlerOptions{ReplaceAttr: drop}))
}

type logLine struct {
	t   *Trace
	who string
}

func (l logLine) Write(p []byte) (int, error) {
	l.t.Add(l.who, "%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

var _ io.Writer = logLine{}
