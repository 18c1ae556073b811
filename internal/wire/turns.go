package wire

import (
	"context"
	"io"
	"sync"
)

// Turns are taken by transfers that go over one connection, each until its answer was
// read to the end: what then waits for the disk does so side by side. It has room for
// as many as may be under way; nil: nobody waits.
type Turns chan struct{}

// take waits for a turn. leave may be called more than once.
func (t Turns) take(ctx context.Context) (leave func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	select {
	case t <- struct{}{}:
		return sync.OnceFunc(func() { <-t }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// untilEnd gives a reader that leaves at its end.
func untilEnd(r io.Reader, leave func()) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if err != nil {
			leave()
		}
		return n, err
	})
}
