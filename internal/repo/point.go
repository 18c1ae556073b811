package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Point brings the stable address of each arch up to snapshot n, which is
// committed: metadata that bears its checksum in its name first, then
// repomd.xml by one rename. It never goes backwards: when the address shows n
// or a later snapshot, there is nothing to do. It is called after each commit,
// and for the database's current snapshot at each start. A snapshot that is not
// on the disk is plague.ErrNotFound.
func (t *Tree) Point(ctx context.Context, target string, arches []string, n int64) error {
	unlock, err := t.lock(ctx, target)
	if err != nil {
		return fmt.Errorf("point %s at snapshot %d: %w", target, n, err)
	}
	defer unlock()
	for _, arch := range arches {
		b, err := t.branch(target, arch)
		if err == nil {
			err = b.point(n)
		}
		if err != nil {
			return fmt.Errorf("point %s for %s at snapshot %d: %w", target, arch, n, err)
		}
	}
	return nil
}

func (b branch) point(n int64) error {
	shown, err := b.current()
	if err != nil || shown >= n {
		return err
	}
	md, text, err := b.repomd(n)
	if err != nil {
		return err
	}
	if err := b.files.MkdirAll(b.path(repodataDir), 0o755); err != nil {
		return err
	}
	var names []string
	for _, d := range md.Data {
		name := path.Join(repodataDir, d.file())
		err := b.files.Link(path.Join(b.snapshot(n), name), b.path(name))
		if err != nil && !errors.Is(err, fs.ErrExist) { // one name, one content
			return err
		}
		names = append(names, name)
	}
	if err := b.unretire(names); err != nil {
		return err
	}
	if err := b.files.SyncDir(b.path(repodataDir)); err != nil {
		return err
	}
	return b.files.WriteFile(b.path(repodataDir, repomdFile), text, 0o644) // the only line that moves it
}
