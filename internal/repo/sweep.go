package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"plague"
	"plague/internal/durable"
)

// Sweep removes what a crash left of a target: temporary files and folders, and
// snapshots above current, which were built and never committed. current is what
// the database said after the caller had become the leader, so that no earlier
// leader can commit one of them any more. When the stable address is ahead of the
// database, nothing is removed and the error says so (plague.ErrConflict).
func (t *Tree) Sweep(ctx context.Context, target string, current int64) error {
	unlock, err := t.lock(ctx, target)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", target, err)
	}
	defer unlock()
	bs, err := t.branches(target)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", target, err)
	}
	for _, b := range bs {
		if err := b.sweep(current); err != nil {
			return fmt.Errorf("sweep %s: %w", b.dir, err)
		}
	}
	return nil
}

func (b branch) sweep(current int64) error {
	shown, err := b.current()
	if err != nil {
		return err
	}
	if shown > current {
		return plague.Refuse(plague.ErrConflict,
			fmt.Sprintf("the stable address shows snapshot %d and the database knows %d: the database is older", shown, current),
			"restore the newer database, or move this folder away to have it made anew")
	}
	ns, err := b.snapshots()
	if err != nil {
		return err
	}
	for _, n := range ns {
		if n <= current {
			continue
		}
		if err := b.discard(path.Base(b.snapshot(n))); err != nil {
			return err
		}
	}
	for _, dir := range []string{b.dir, b.path(repodataDir)} {
		if err := b.sweepTemp(dir); err != nil {
			return err
		}
	}
	return nil
}

func (b branch) sweepTemp(dir string) error {
	entries, err := b.files.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), durable.TempPrefix) {
			continue
		}
		if err := b.files.RemoveAll(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
