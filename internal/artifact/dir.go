// Package artifact keeps files by their SHA-256: sources, built packages, logs.
// What is visible is whole, on the disk and what its name says; there is no way
// to change it. artifacttest has the suite that every kind of store passes.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"

	"plague"
	"plague/internal/durable"
)

// Dir is a store in a folder: aa/bb/<digest>, where aa and bb are the first four
// digits, read-only; unfinished files are in partial/. One process writes to it,
// from any number of goroutines.
type Dir struct {
	files *durable.Dir // immutable

	mu   sync.Mutex      // guards the field below
	busy map[Digest]bool // a partial file has one writer
}

// OpenDir opens the store in d, which stays the caller's to close.
func OpenDir(d *durable.Dir) (*Dir, error) {
	if err := d.MkdirAll(partialDir, 0o755); err != nil {
		return nil, unavailable("open the artifact store", err)
	}
	return &Dir{files: d, busy: map[Digest]bool{}}, nil
}

const partialDir = "partial"

func folder(d Digest) string  { return fmt.Sprintf("%02x/%02x", d[0], d[1]) }
func name(d Digest) string    { return path.Join(folder(d), d.String()) }
func partial(d Digest) string { return path.Join(partialDir, d.String()) }

// Has tells whether the artifact is here.
func (s *Dir) Has(want Digest) bool {
	_, err := s.files.Lstat(name(want))
	return err == nil
}

// Open opens an artifact and tells its size in bytes; plague.ErrNotFound if it is
// not here.
func (s *Dir) Open(want Digest) (io.ReadSeekCloser, int64, error) {
	f, err := s.files.Open(name(want))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("artifact %s: %w", want, plague.ErrNotFound)
	}
	if err != nil {
		return nil, 0, unavailable("open artifact "+want.String(), err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, unavailable("open artifact "+want.String(), err)
	}
	return f, info.Size(), nil
}

// Path is where an artifact is on the disk, for hard links into result trees and
// for tools that read files. It does not tell whether it is here.
func (s *Dir) Path(want Digest) string { return s.files.Path(name(want)) }

// Remove removes an artifact; one that is not here is no error. Hard links to it
// and readers that have it open keep it.
func (s *Dir) Remove(want Digest) error {
	if err := s.files.Remove(name(want)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable("remove artifact "+want.String(), err)
	}
	return nil
}

// Info describes an artifact in a list.
type Info struct {
	Digest Digest
	Size   int64     // bytes
	Time   time.Time // when it was written
}

// List calls yield for every artifact, ordered by digest, until it returns false.
// An artifact that comes or goes meanwhile may be in the list or not.
func (s *Dir) List(ctx context.Context, yield func(Info) bool) error {
	err := s.files.Walk(".", func(at string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if at == partialDir {
			return fs.SkipDir
		}
		if err == nil && !e.IsDir() {
			err = list(at, e, yield)
		}
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		return unavailable("list artifacts", err)
	}
	return err
}

func list(at string, e fs.DirEntry, yield func(Info) bool) error {
	d, err := ParseDigest(e.Name())
	if err != nil || at != name(d) {
		return nil // nobody put it here through this room: not ours to show
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	if !yield(Info{Digest: d, Size: info.Size(), Time: info.ModTime()}) {
		return fs.SkipAll
	}
	return nil
}

// unavailable says that the disk, and not the request, is to blame. A full one
// stays recognisable as syscall.ENOSPC.
func unavailable(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, plague.ErrUnavailable, err)
}
