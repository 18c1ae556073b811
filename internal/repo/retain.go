package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Grace is how long what nothing needs any more stays readable: dnf keeps
// metadata for 48 h, and goes on to fetch what it names.
const Grace = 72 * time.Hour

// Retain removes what has been of no use for Grace: snapshots that keep does not
// want, metadata that the stable address no longer shows, and RPMs that no kept
// snapshot names. The time counts from the first Retain that finds a thing
// useless, so one that never runs removes nothing. The snapshot that the stable
// address shows, and any later one, is kept whatever keep says.
func (t *Tree) Retain(ctx context.Context, target string, keep func(n int64) bool, now time.Time) error {
	unlock, err := t.lock(ctx, target)
	if err != nil {
		return fmt.Errorf("retention of %s: %w", target, err)
	}
	defer unlock()
	bs, err := t.branches(target)
	if err != nil {
		return fmt.Errorf("retention of %s: %w", target, err)
	}
	for _, b := range bs {
		removed, err := b.retain(ctx, keep, now)
		if err != nil {
			return fmt.Errorf("retention of %s: %w", b.dir, err)
		}
		if removed > 0 {
			t.log.InfoContext(ctx, "old files removed", "target", target, "arch", path.Base(b.dir), "files", removed)
		}
	}
	return nil
}

func (b branch) retain(ctx context.Context, keep func(n int64) bool, now time.Time) (removed int, err error) {
	useless, err := b.useless(ctx, keep)
	if err != nil {
		return 0, err
	}
	had, err := b.retired()
	if err != nil {
		return 0, err
	}
	marks := map[string]time.Time{}
	var over []string
	for _, name := range useless {
		since, ok := had[name]
		switch {
		case !ok:
			marks[name] = now
		case now.Sub(since) < Grace:
			marks[name] = since
		default:
			over = append(over, name)
		}
	}
	// Marks go first: when we die in between, a file lives for another Grace.
	if err := b.setRetired(had, marks); err != nil {
		return 0, err
	}
	for _, name := range over {
		if ctx.Err() != nil {
			return removed, ctx.Err()
		}
		if err := b.drop(name); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// useless lists the snapshots, metadata files and RPMs that nothing needs now.
func (b branch) useless(ctx context.Context, keep func(n int64) bool) ([]string, error) {
	shown, err := b.current()
	if err != nil {
		return nil, err
	}
	ns, err := b.snapshots()
	if err != nil {
		return nil, err
	}
	var useless []string
	named := map[string]bool{}
	for _, n := range ns {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if n < shown && !keep(n) {
			useless = append(useless, path.Base(b.snapshot(n)))
			continue
		}
		c, err := b.contents(n)
		if err != nil {
			return nil, err
		}
		for href := range c {
			named[href] = true
		}
	}
	metadata, err := b.uselessMetadata()
	if err != nil {
		return nil, err
	}
	rpms, err := b.unnamed(ctx, named)
	return slices.Concat(useless, metadata, rpms), err
}

func (b branch) uselessMetadata() ([]string, error) {
	md, _, err := readRepomd(b.files, b.path(repodataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	shown := map[string]bool{repomdFile: true}
	for _, d := range md.Data {
		shown[d.file()] = true
	}
	entries, err := b.files.ReadDir(b.path(repodataDir))
	if err != nil {
		return nil, err
	}
	var useless []string
	for _, e := range entries {
		if !shown[e.Name()] {
			useless = append(useless, path.Join(repodataDir, e.Name()))
		}
	}
	return useless, nil
}

// unnamed lists what lies in Packages without being named.
func (b branch) unnamed(ctx context.Context, named map[string]bool) ([]string, error) {
	jobs, err := b.files.ReadDir(b.path(packagesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var useless []string
	for _, job := range jobs {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		files, err := b.files.ReadDir(b.path(packagesDir, job.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if href := path.Join(packagesDir, job.Name(), f.Name()); !named[href] {
				useless = append(useless, href)
			}
		}
	}
	return useless, nil
}

// drop removes a snapshot or a file, and the folder of a job that it leaves empty.
func (b branch) drop(name string) error {
	if strings.HasPrefix(name, "@") {
		return b.discard(name)
	}
	if err := b.files.RemoveAll(b.path(name)); err != nil {
		return err
	}
	if !strings.HasPrefix(name, packagesDir+"/") {
		return nil
	}
	err := b.files.Remove(b.path(path.Dir(name)))
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// retired is since when which files have been found useless.
func (b branch) retired() (map[string]time.Time, error) {
	text, err := b.files.ReadFile(b.path(retiredFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var marks map[string]time.Time
	if err := json.Unmarshal(text, &marks); err != nil {
		return nil, fmt.Errorf("%s: %w", b.path(retiredFile), err)
	}
	return marks, nil
}

func (b branch) setRetired(had, marks map[string]time.Time) error {
	if len(had) == 0 && len(marks) == 0 {
		return nil
	}
	text, err := json.Marshal(marks)
	if err != nil {
		return err
	}
	return b.files.WriteFile(b.path(retiredFile), text, 0o644)
}

// unretire is called before something comes into use: should it fall out of use
// again before the next Retain, its time begins anew.
func (b branch) unretire(names []string) error {
	marks, err := b.retired()
	if err != nil || len(marks) == 0 {
		return err
	}
	before := len(marks)
	for _, name := range names {
		delete(marks, name)
	}
	if len(marks) == before {
		return nil
	}
	return b.setRetired(marks, marks)
}
