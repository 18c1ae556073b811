// Package buildlog keeps the log of a build: one writer, many followers, every
// position a byte offset at which a follower, or a writer that restarted, goes on.
//
// A log is a plain file that any web server may serve. It grows with mode 0644 and
// becomes 0444 when it has ended, so that every process, and every restart, can
// tell a log that is complete from one whose writer is gone.
package buildlog

import (
	"errors"
	"fmt"
	"io/fs"

	"plague"
	"plague/internal/durable"
)

const (
	growing fs.FileMode = 0o644
	ended   fs.FileMode = 0o444
)

// Ended tells from its file whether a log is complete.
func Ended(info fs.FileInfo) bool { return info.Mode().Perm()&0o222 == 0 }

// Writer appends to a log. It belongs to one goroutine.
type Writer struct {
	file *durable.Appender
	name string
	max  int64
	wake func() // after every change; may be nil
	left func() // after Close; may be nil

	size    int64
	dropped int64
	failed  error // of the first write that failed
	closed  bool
}

// Create opens the log name for its only writer, and goes on at Size if there is
// one. The server that is about to lose the lead may tail the log that its successor
// tails already: what both bring is there once. It keeps max bytes; the first byte beyond them is replaced by a line that
// says so. A log that has ended is plague.ErrConflict: it is never written again,
// for its file may be an artifact by now.
func Create(d *durable.Dir, name string, max int64) (*Writer, error) {
	if info, err := d.Stat(name); err == nil && Ended(info) {
		return nil, hasEnded(name)
	}
	f, size, err := d.OpenCopy(name, growing)
	if err != nil {
		return nil, unavailable("open log "+name, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, unavailable("open log "+name, err)
	}
	if Ended(info) { // in between
		f.Close()
		return nil, hasEnded(name)
	}
	w := &Writer{file: f, name: name, max: max, size: size}
	if w.size > w.max+int64(len(w.cutLine())) { // the limit was lowered since
		w.max = w.size
	}
	return w, nil
}

func hasEnded(name string) error {
	return fmt.Errorf("log %s has ended: %w", name, plague.ErrConflict)
}

// Size is how many bytes the log has: the offset of what is to be written next.
func (w *Writer) Size() int64 { return w.size }

// Dropped is how many bytes this writer discarded beyond the limit.
func (w *Writer) Dropped() int64 { return w.dropped }

// Write appends p and wakes the followers. What is beyond the limit is discarded
// and counted, and is no error: a build must not fail because it talks too much.
// After a failure every Write fails: a log may end early, but it has no holes.
func (w *Writer) Write(p []byte) (int, error) {
	keep := p
	if room := max(w.max-w.size, 0); int64(len(p)) > room {
		keep = p[:room]
	}
	n, err := w.append(keep)
	if err != nil || n == len(p) {
		return n, err
	}
	w.dropped += int64(len(p) - n)
	// How much of the line is there follows from the size, so that one that a
	// crash tore is completed by the next writer.
	line := w.cutLine()
	if _, err := w.append(line[min(w.size-w.max, int64(len(line))):]); err != nil {
		return n, err
	}
	return len(p), nil
}

func (w *Writer) cutLine() []byte {
	return fmt.Appendf(nil, "\n[plague: this log is cut here, at its limit of %d bytes]\n", w.max)
}

func (w *Writer) append(p []byte) (int, error) {
	if len(p) == 0 || w.failed != nil {
		return 0, w.failed
	}
	n, err := w.file.Write(p)
	w.size += int64(n)
	if n > 0 {
		w.changed()
	}
	if err != nil {
		w.failed = unavailable("write log "+w.name, err)
	}
	return n, w.failed
}

func (w *Writer) changed() {
	if w.wake != nil {
		w.wake()
	}
}

// End says that the log is complete, brings it to the disk and closes it.
func (w *Writer) End() error {
	err := w.file.Sync()
	if err == nil {
		err = w.file.Chmod(ended)
	}
	if err != nil {
		err = unavailable("end log "+w.name, err)
	} else {
		w.changed()
	}
	return errors.Join(err, w.Close())
}

// Close lets go of a log that has not ended, such as when the server that tails it
// stops; its followers wait for the next writer. After End it does nothing.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.file.Close()
	if w.left != nil {
		w.left()
	}
	if err != nil {
		return unavailable("close log "+w.name, err)
	}
	return nil
}

// unavailable says that the disk is to blame; a full one stays recognisable as
// syscall.ENOSPC.
func unavailable(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, plague.ErrUnavailable, err)
}
