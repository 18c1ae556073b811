package artifact

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"plague"
)

// Offset tells how many bytes of an artifact are here: all of them, those that
// PutAt has got so far, or 0.
func (s *Dir) Offset(want Digest) (int64, error) {
	for _, name := range []string{name(want), partial(want)} {
		info, err := s.files.Lstat(name)
		if err == nil {
			return info.Size(), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, unavailable("look for artifact "+want.String(), err)
		}
	}
	return 0, nil
}

// PutAt goes on with an artifact of total bytes, of which r holds those from offset
// on, all or some. What came is kept, also when r fails, and the next call goes on
// at Offset; an offset below it begins again there. With the last byte the whole
// is verified and becomes visible as by Put: complete. An artifact that is here
// already is complete without a look at r.
//
// plague.ErrConflict: another PutAt writes this artifact at this moment, or offset
// is beyond what is here. plague.ErrInvalid: more than max bytes, more than total,
// or another digest; what was here is discarded, for no byte of it can be trusted.
func (s *Dir) PutAt(ctx context.Context, want Digest, offset, total, max int64, r io.Reader) (complete bool, err error) {
	if total > max {
		return false, tooLong(want.String(), max)
	}
	if offset < 0 || offset > total {
		return false, fmt.Errorf("artifact %s: offset %d is not within its %d bytes: %w", want, offset, total, plague.ErrInvalid)
	}
	if !s.claim(want) {
		return false, fmt.Errorf("artifact %s is being written by another transfer: %w", want, plague.ErrConflict)
	}
	defer s.release(want)
	if s.Has(want) {
		return true, s.settle(want)
	}
	have, err := s.grow(ctx, want, offset, total, r)
	if errors.Is(err, errTooLong) {
		return false, errors.Join(err, s.discard(want))
	}
	if err != nil || have < total {
		return false, err
	}
	if err := s.finish(ctx, want); err != nil {
		return false, err
	}
	return true, nil
}

// grow appends r to the partial file and returns its new size; a whole file is
// read-only and on the disk then.
func (s *Dir) grow(ctx context.Context, want Digest, offset, total int64, r io.Reader) (int64, error) {
	have, err := s.Offset(want)
	if err != nil {
		return 0, err
	}
	if offset > have {
		return 0, fmt.Errorf("artifact %s: %d bytes are here, go on from there and not from %d: %w", want, have, offset, plague.ErrConflict)
	}
	if have > 0 { // a crash between here and its visibility left it read-only
		if err := s.files.Chmod(partial(want), 0o644); err != nil {
			return 0, unavailable("store artifact "+want.String(), err)
		}
	}
	f, err := s.files.OpenAppend(partial(want), 0o644)
	if err != nil {
		return 0, unavailable("store artifact "+want.String(), err)
	}
	defer f.Close()
	if offset < have {
		if err := f.Truncate(offset); err != nil {
			return 0, unavailable("store artifact "+want.String(), err)
		}
	}
	n, err := receive(ctx, want.String(), disk{want.String(), f}, r, total-offset)
	if err != nil || offset+n < total {
		return offset + n, err
	}
	if err := errors.Join(f.Chmod(0o444), f.Sync()); err != nil {
		return 0, unavailable("store artifact "+want.String(), err)
	}
	return total, nil
}

// finish verifies a whole partial file as it is on the disk, whoever wrote its
// parts and whatever a crash made of them, and makes it visible.
func (s *Dir) finish(ctx context.Context, want Digest) error {
	got, err := s.digest(ctx, partial(want))
	if err != nil {
		return err
	}
	if got != want {
		return errors.Join(mismatch(got, want), s.discard(want))
	}
	if _, err := s.files.Mkdirs(folder(want), 0o755); err != nil {
		return unavailable("store artifact "+want.String(), err)
	}
	if err := s.files.Rename(partial(want), name(want)); err != nil {
		return unavailable("store artifact "+want.String(), err)
	}
	return s.settle(want)
}

func (s *Dir) digest(ctx context.Context, name string) (Digest, error) {
	f, err := s.files.Open(name)
	if err != nil {
		return Digest{}, unavailable("verify an artifact", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, interruptible{ctx, f}); err != nil {
		return Digest{}, fmt.Errorf("verify an artifact: %w", err)
	}
	return Digest(h.Sum(nil)), nil
}

func (s *Dir) discard(want Digest) error {
	if err := s.files.Remove(partial(want)); err != nil {
		return unavailable("discard artifact "+want.String(), err)
	}
	return nil
}

// Sweep removes the unfinished files that nobody has written to for age. With 0 it
// removes all but those that a PutAt is writing: the leftovers of a crash, where
// nobody means to resume.
func (s *Dir) Sweep(age time.Duration) error {
	entries, err := s.files.ReadDir(partialDir)
	if err != nil {
		return unavailable("sweep the artifact store", err)
	}
	for _, e := range entries {
		if err := s.sweepOne(e, age); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unavailable("sweep the artifact store", err)
		}
	}
	return nil
}

func (s *Dir) sweepOne(e fs.DirEntry, age time.Duration) error {
	if d, err := ParseDigest(e.Name()); err == nil {
		if !s.claim(d) {
			return nil
		}
		defer s.release(d)
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	if age > 0 && time.Since(info.ModTime()) < age {
		return nil
	}
	return s.files.RemoveAll(path.Join(partialDir, e.Name()))
}

func (s *Dir) claim(d Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[d] {
		return false
	}
	s.busy[d] = true
	return true
}

func (s *Dir) release(d Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, d)
}
