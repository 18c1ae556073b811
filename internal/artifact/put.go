package artifact

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"

	"plague"
	"plague/internal/durable"
)

// Put stores what r holds under want: exactly size bytes, or up to the end if size
// is negative, and never more than max. It becomes visible in one step, on the disk
// and verified. An artifact that is here already is not read again.
//
// plague.ErrInvalid: another digest, too short, too long. plague.ErrUnavailable:
// the disk refuses. An error of r is returned as it is. After any of them nothing
// is visible.
func (s *Dir) Put(ctx context.Context, want Digest, size, max int64, r io.Reader) error {
	if size > max {
		return tooLong(want.String(), max)
	}
	if s.Has(want) {
		return s.settle(want)
	}
	limit := size
	if size < 0 {
		limit = max
	}
	f, got, n, err := s.receiveNew(ctx, want.String(), r, limit)
	if err != nil {
		return err
	}
	defer f.Abort()
	if size >= 0 && n < size {
		return fmt.Errorf("artifact %s ends after %d of %d bytes: %w", want, n, size, plague.ErrInvalid)
	}
	if got != want {
		return mismatch(got, want)
	}
	return s.publish(f, got)
}

// Add stores what r holds, up to its end and at most max bytes, under whatever
// digest it has. Errors are as of Put.
func (s *Dir) Add(ctx context.Context, r io.Reader, max int64) (Digest, int64, error) {
	f, got, n, err := s.receiveNew(ctx, "new", r, max)
	if err != nil {
		return Digest{}, 0, err
	}
	defer f.Abort()
	if err := s.publish(f, got); err != nil {
		return Digest{}, 0, err
	}
	return got, n, nil
}

// receiveNew reads at most limit bytes of r into a file that is not visible yet,
// and says what it read. On nil the caller aborts or publishes the file.
func (s *Dir) receiveNew(ctx context.Context, label string, r io.Reader, limit int64) (f *durable.File, got Digest, n int64, err error) {
	f, err = s.files.Create(path.Join(partialDir, label), 0o444)
	if err != nil {
		return nil, got, 0, unavailable("store artifact "+label, err)
	}
	h := sha256.New()
	n, err = receive(ctx, label, io.MultiWriter(disk{label, f}, h), r, limit)
	if err != nil {
		f.Abort()
		return nil, got, n, err
	}
	return f, Digest(h.Sum(nil)), n, nil
}

// publish makes a verified file visible. If the last step, the sync of its folder,
// is all that fails, it is visible and right, and the next Put settles it.
func (s *Dir) publish(f *durable.File, got Digest) error {
	if s.Has(got) { // replacing it would part it from its hard links
		return s.settle(got)
	}
	if _, err := s.files.Mkdirs(folder(got), 0o755); err != nil {
		return unavailable("store artifact "+got.String(), err)
	}
	if err := f.CommitAs(name(got)); err != nil {
		return unavailable("store artifact "+got.String(), err)
	}
	return s.settle(got)
}

// settle makes sure that a name, and its folder's, are on the disk before the content is
// promised to anybody. Another writer, who made one of them visible, may have died in
// between.
func (s *Dir) settle(d Digest) error {
	if err := s.files.SyncPath(folder(d)); err != nil {
		return unavailable("store artifact "+d.String(), err)
	}
	return nil
}

var errTooLong = errors.New("too long")

func tooLong(label string, limit int64) error {
	return fmt.Errorf("artifact %s has more than %d bytes: %w: %w", label, limit, errTooLong, plague.ErrInvalid)
}

func mismatch(got, want Digest) error {
	return fmt.Errorf("artifact is %s, not %s: %w", got, want, plague.ErrInvalid)
}

// receive copies r to w until its end; a byte beyond limit is errTooLong.
func receive(ctx context.Context, label string, w io.Writer, r io.Reader, limit int64) (int64, error) {
	r = interruptible{ctx, r}
	n, err := io.Copy(w, io.LimitReader(r, limit))
	if err != nil || n < limit {
		return n, err
	}
	switch _, err := io.ReadFull(r, make([]byte, 1)); err {
	case io.EOF:
		return n, nil
	case nil:
		return n, tooLong(label, limit)
	default:
		return n, err
	}
}

// interruptible is a reader that ends with its context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.r.Read(p)
}

// disk is a writer whose errors are the disk's, so that a copy's error tells
// which side failed.
type disk struct {
	label string
	w     io.Writer
}

func (d disk) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err != nil {
		err = unavailable("store artifact "+d.label, err)
	}
	return n, err
}
