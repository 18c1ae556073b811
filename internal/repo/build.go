package repo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"plague"
	"plague/internal/durable"
)

// errMetadata marks what a Metadata maker did wrong. Its work on top of the
// parent's metadata is then thrown away and made again from nothing.
var errMetadata = errors.New("making repodata")

// Build makes a snapshot on disk: whole, brought to the disk, verified against
// what was asked for, and visible by one rename per arch. Nothing points at it
// yet. The same call again does nothing; a snapshot of that number with another
// content was never committed, and is replaced. One that the stable address has
// reached is plague.ErrConflict.
func (t *Tree) Build(ctx context.Context, s Snapshot) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("build snapshot %d of %s: %w", s.Number, s.Target, err)
	}
	unlock, err := t.lock(ctx, s.Target)
	if err != nil {
		return fmt.Errorf("build snapshot %d of %s: %w", s.Number, s.Target, err)
	}
	defer unlock()
	for _, arch := range s.Arches {
		if err := t.buildArch(ctx, s, arch); err != nil {
			return fmt.Errorf("build snapshot %d of %s for %s: %w", s.Number, s.Target, arch, err)
		}
	}
	return nil
}

func (t *Tree) buildArch(ctx context.Context, s Snapshot, arch string) error {
	b, err := t.branch(s.Target, arch)
	if err != nil {
		return err
	}
	kept, err := b.makeRoom(s.Number, contentsOf(s.Packages[arch]).sums())
	if err != nil || kept {
		return err
	}
	parent, err := b.contents(s.Parent)
	if err != nil {
		return err
	}
	temp, err := t.make(ctx, b, s, arch, parent)
	if errors.Is(err, errMetadata) && parent != nil && ctx.Err() == nil {
		t.log.WarnContext(ctx, "repodata on top of the parent's is wrong, made from nothing instead",
			"target", s.Target, "arch", arch, "snapshot", s.Number, "parent", s.Parent, "error", err)
		temp, err = t.make(ctx, b, s, arch, nil)
	}
	if err != nil {
		return err
	}
	return b.files.Rename(temp, b.snapshot(s.Number)) // the only line that makes it visible
}

// makeRoom says whether snapshot n is there with these contents already, and
// removes it when it has others.
func (b branch) makeRoom(n int64, sums []byte) (kept bool, err error) {
	if err := b.files.MkdirAll(b.path(packagesDir), 0o755); err != nil {
		return false, err
	}
	have, err := b.files.ReadFile(path.Join(b.snapshot(n), sumsFile))
	if err == nil && bytes.Equal(have, sums) {
		return true, b.files.SyncDir(b.dir) // its maker may have died right after the rename
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	shown, err := b.current()
	if err != nil {
		return false, err
	}
	if shown >= n {
		return false, fmt.Errorf("%w: the stable address shows %d already", plague.ErrConflict, shown)
	}
	return false, b.discard(path.Base(b.snapshot(n)))
}

// discard removes a folder in such a way that nobody sees a part of it.
func (b branch) discard(name string) error {
	temp := b.path(durable.TempPrefix + rand.Text())
	err := b.files.Rename(b.path(name), temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.files.RemoveAll(temp)
}

// make makes a snapshot under a temporary name, which nobody reads. The name is
// new each time: a createrepo_c that outlived its server may still write into
// the one before. parent is nil when nothing of the parent is to be used.
func (t *Tree) make(ctx context.Context, b branch, s Snapshot, arch string, parent contents) (temp string, err error) {
	packages := s.Packages[arch]
	if err := b.link(packages, parent, s.Parent); err != nil {
		return "", err
	}
	temp = b.path(durable.TempPrefix + rand.Text())
	if err := b.files.MkdirAll(temp, 0o755); err != nil {
		return "", err
	}
	in := MakeInput{Dir: b.files.Path(b.dir), Packages: packages, Out: b.files.Path(temp), Revision: s.Number}
	if parent != nil {
		in.Previous = b.files.Path(b.snapshot(s.Parent), repodataDir)
	}
	if err := t.fill(ctx, b, temp, in); err != nil {
		b.files.RemoveAll(temp) // what stays is swept at the next start
		return "", err
	}
	return temp, nil
}

// fill makes the content of a snapshot, and holds it against what was asked for.
func (t *Tree) fill(ctx context.Context, b branch, temp string, in MakeInput) error {
	if err := t.meta.Make(ctx, in); err != nil {
		return fmt.Errorf("%w: %w", errMetadata, err)
	}
	want := contentsOf(in.Packages)
	files, err := verify(ctx, b.files, temp, want, in.Revision)
	if err != nil {
		return fmt.Errorf("%w: %w", errMetadata, err)
	}
	return b.settle(temp, files, want)
}

// settle completes a snapshot and brings it to the disk.
func (b branch) settle(temp string, files []string, want contents) error {
	for _, name := range append(files, repomdFile) {
		if err := b.syncFile(path.Join(temp, repodataDir, name)); err != nil {
			return err
		}
	}
	if err := b.files.Chmod(path.Join(temp, repodataDir), 0o755); err != nil {
		return err
	}
	if err := b.files.SyncDir(path.Join(temp, repodataDir)); err != nil {
		return err
	}
	if err := b.files.Symlink("../"+packagesDir, path.Join(temp, packagesDir)); err != nil {
		return err
	}
	return b.files.WriteFile(path.Join(temp, sumsFile), want.sums(), 0o644) // syncs the folder too
}

// syncFile brings a file that another program wrote to the disk, readable by all.
func (b branch) syncFile(name string) error {
	if err := b.files.Chmod(name, 0o644); err != nil {
		return err
	}
	f, err := b.files.OpenAppend(name, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
