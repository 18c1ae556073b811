package xmlrpc

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// A Method is a call that a handler answers.
type Method struct {
	Name string
	Help string // for people: what it does, in a sentence or two
	// Signatures are the type of the answer and then those of the parameters,
	// one list for each number of parameters it takes. A call with another
	// number is refused; without signatures, none is.
	Signatures [][]string
	// Func answers. Its answer is whatever Marshal takes. It runs until it
	// returns, whatever its context says, so it must heed it.
	Func func(ctx context.Context, params []any) (any, error)
}

// takes says whether the method may be called with n parameters.
func (m Method) takes(n int) bool {
	return len(m.Signatures) == 0 ||
		slices.ContainsFunc(m.Signatures, func(s []string) bool { return len(s) == n+1 })
}

// Options of a handler; the zero value of each is its default.
type Options struct {
	MaxBody   int64              // bytes of a call, as sent and in UTF-8; default 16 MiB
	MaxDepth  int                // arrays and structs inside each other; default 64, at most 1,000
	MaxValues int                // default 200,000
	MaxString int                // bytes of one string or base64 text; default 8 MiB
	Timeout   time.Duration      // for the body to come, for the call, for the answer to go; default 60 s each
	Fault     func(error) *Fault // what a caller sees of a method's error; default: a *Fault as it is, else code 1 and its text
	AllowNil  bool               // answer with nil even to those who sent none; else they get an empty string
	Log       *slog.Logger       // default: discard
}

// maxDepth bounds what the options may ask for: each level is a level of calls.
const maxDepth = 1000

func (o Options) withDefaults() (Options, limits) {
	l := defaultLimits()
	l.body = orDefault(o.MaxBody, l.body)
	l.depth = min(orDefault(o.MaxDepth, l.depth), maxDepth)
	l.values = orDefault(o.MaxValues, l.values)
	l.text = orDefault(o.MaxString, l.text)
	o.Timeout = orDefault(o.Timeout, time.Minute)
	if o.Fault == nil {
		o.Fault = plainFault
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, l
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
