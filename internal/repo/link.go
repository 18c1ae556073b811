package repo

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"plague"
	"plague/internal/durable"
)

// link puts the packages that had does not name into Packages and brings their
// names to the disk, so that the cost follows the change.
func (b branch) link(packages []Package, had contents, parent int64) error {
	var names []string
	folders := map[string]bool{}
	for _, p := range packages {
		digest, ok := had[p.Href()]
		if ok && digest != p.Digest {
			return changed(p, parent)
		}
		if ok {
			continue
		}
		if err := b.adopt(p, parent); err != nil {
			return fmt.Errorf("%s: %w", p.Href(), err)
		}
		names = append(names, p.Href())
		folders[path.Dir(p.Href())] = true
	}
	for folder := range folders {
		if err := b.files.SyncDir(b.path(folder)); err != nil {
			return err
		}
	}
	return b.unretire(names)
}

func (b branch) adopt(p Package, parent int64) error {
	name := b.path(p.Href())
	if err := b.files.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	err := b.files.Adopt(p.Path, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if same, err := b.holds(name, p); err != nil || same {
		return err
	}
	// Left by an earlier run of the job that was never published, unless a
	// committed snapshot says otherwise.
	if err := b.checkUnnamed(p, parent); err != nil {
		return err
	}
	temp := path.Join(path.Dir(name), durable.TempPrefix+rand.Text())
	if err := b.files.Adopt(p.Path, temp); err != nil {
		return err
	}
	return b.files.Rename(temp, name)
}

// holds says whether name has the content of p.
func (b branch) holds(name string, p Package) (bool, error) {
	f, err := b.files.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	here, err := f.Stat()
	if err != nil {
		return false, err
	}
	if there, err := os.Stat(p.Path); err == nil && os.SameFile(here, there) {
		return true, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return [32]byte(h.Sum(nil)) == p.Digest, nil
}

// checkUnnamed refuses a package whose path a committed snapshot names.
func (b branch) checkUnnamed(p Package, newest int64) error {
	ns, err := b.snapshots()
	if err != nil {
		return err
	}
	for _, n := range ns {
		if n > newest {
			continue
		}
		c, err := b.contents(n)
		if err != nil {
			return err
		}
		if _, ok := c[p.Href()]; ok {
			return changed(p, n)
		}
	}
	return nil
}

func changed(p Package, n int64) error {
	return fmt.Errorf("%w: %s has another content in snapshot %d, and a path never changes content", plague.ErrConflict, p.Href(), n)
}
