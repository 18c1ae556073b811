package buildlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"plague"
)

// poll is how long a follower waits for a wake-up before it looks by itself: all
// there is between processes, and a net behind the wake-ups within one.
const poll = time.Second

// Follow copies a log to w from the byte offset on, and then what is appended as
// it comes, until the log has ended or ctx is over.
//
// open opens the log; while that is fs.ErrNotExist Follow waits for it. wake, which
// may be nil, gives a channel that is closed at the next change. ended, which may
// be nil, tells that no writer will come any more for a log that nobody ended; what
// was written before it turned true is still copied.
//
// nil: w has everything up to the end. plague.ErrNotFound: ended, and there is no
// log. An error of w is returned as it is, of ctx as its cause.
func Follow(ctx context.Context, open func() (*os.File, error), offset int64, w io.Writer, wake func() <-chan struct{}, ended func() bool) error {
	if offset < 0 {
		return fmt.Errorf("follow a log from offset %d: %w", offset, plague.ErrInvalid)
	}
	f := follower{open: open, offset: offset, w: w, buf: make([]byte, 16<<10)}
	defer f.close()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		// Both are taken before the look at the file: a change after it is seen
		// by the channel, a byte before the end by the look.
		var changed <-chan struct{}
		if wake != nil {
			changed = wake()
		}
		over := ended != nil && ended()
		complete, err := f.advance(ctx)
		if err != nil || complete {
			return err
		}
		if over {
			return f.verdict()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-tick.C:
		}
	}
}

type follower struct {
	open   func() (*os.File, error)
	offset int64
	w      io.Writer
	buf    []byte
	file   *os.File // nil until there is one
}

// advance copies what is there. complete: the log had ended before the last read.
func (f *follower) advance(ctx context.Context) (complete bool, err error) {
	if f.file == nil {
		file, err := f.open()
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, unavailable("open a log", err)
		}
		f.file = file
	}
	info, err := f.file.Stat()
	if err != nil {
		return false, unavailable("follow a log", err)
	}
	return Ended(info), f.copy(ctx)
}

func (f *follower) copy(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := f.file.ReadAt(f.buf, f.offset)
		if n > 0 {
			if _, err := f.w.Write(f.buf[:n]); err != nil {
				return err
			}
			f.offset += int64(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return unavailable("read a log", err)
		}
	}
}

func (f *follower) verdict() error {
	if f.file == nil {
		return fmt.Errorf("log: %w", plague.ErrNotFound)
	}
	return nil
}

func (f *follower) close() {
	if f.file != nil {
		f.file.Close()
	}
}
