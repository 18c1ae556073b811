package buildroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// unusedTime is how long metadata and packages of a repository stay that no build
// has asked for.
const unusedTime = 7 * 24 * time.Hour

// Sweep removes what builds left that were killed: all but those whose IDs are
// live, unfinished layers, and downloads that were not used for a week. Nothing
// is ever mounted there.
func (n *Native) Sweep(live []string) error {
	builds, err := os.ReadDir(n.Work)
	if errors.Is(err, fs.ErrNotExist) { // nothing was ever built
		err = nil
	}
	for _, e := range builds {
		if !slices.Contains(live, e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(n.Work, e.Name())))
		}
	}
	fresh, _ := filepath.Glob(filepath.Join(n.Cache, "layers", ".new-*")) // the pattern is right
	for _, dir := range fresh {
		err = errors.Join(err, sweepLayer(dir))
	}
	downloads, _ := filepath.Glob(filepath.Join(n.Cache, "dnf-*", "*"))
	for _, name := range downloads {
		if info, serr := os.Lstat(name); serr == nil && time.Since(info.ModTime()) > unusedTime {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	return err
}

// sweepLayer removes an unfinished layer that nobody is making.
func sweepLayer(dir string) error {
	name := filepath.Join(filepath.Dir(dir), strings.TrimPrefix(filepath.Base(dir), ".new-"))
	l, err := tryLock(name+".lock", unix.LOCK_EX)
	if err != nil || l == nil {
		return err
	}
	defer l.Close()
	return os.RemoveAll(dir)
}
