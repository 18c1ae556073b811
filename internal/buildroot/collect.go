package buildroot

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"plague/internal/rpm"
)

// A build may leave this much; a package with more is refused.
const (
	maxRPMs      = 4096
	maxRPMBytes  = 16 << 30 // of one
	maxAllBytes  = 64 << 30 // of all
	maxRPMFolder = 64       // entries beside RPMs, such as folders of arches
)

// collect copies the RPMs that a build left in a folder below dir to the folder out
// and gives their names. The build wrote that tree: links are not followed, and only
// files that are called like RPMs count, of which source packages are no results.
func collect(dir, folder, out string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if info, err := root.Lstat(folder); err != nil || !info.IsDir() {
		return nil, packageTrouble("rpmbuild succeeded and left no folder of RPMs")
	}
	c := &collector{root: root, out: out, room: maxAllBytes}
	if err := fs.WalkDir(root.FS(), folder, c.visit); err != nil {
		return nil, err
	}
	if len(c.names) == 0 {
		return nil, packageTrouble("rpmbuild succeeded and left no RPMs")
	}
	return c.names, nil
}

type collector struct {
	root  *os.Root
	out   string
	names []string
	other int
	room  int64
}

func (c *collector) visit(name string, e fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	base := path.Base(name)
	if n, err := rpm.ParseFilename(base); err != nil || n.IsSource() || !e.Type().IsRegular() {
		if e.Type()&fs.ModeSymlink != 0 {
			return packageTrouble("the build left a link, %q, where RPMs should be", name)
		}
		if c.other++; c.other > maxRPMFolder {
			return packageTrouble("the build left more than RPMs where RPMs should be, such as %q", name)
		}
		return nil
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	if c.room -= info.Size(); c.room < 0 || info.Size() > maxRPMBytes || len(c.names) >= maxRPMs {
		return packageTrouble("the build left more RPMs than is allowed: %d and %s of %d bytes", len(c.names), base, info.Size())
	}
	if err := copyOut(filepath.Join(c.out, base), c.root, name, info.Size()); err != nil {
		return fmt.Errorf("take %s: %w", base, err)
	}
	c.names = append(c.names, base)
	return nil
}
