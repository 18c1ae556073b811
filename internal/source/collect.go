package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"plague"
	"plague/internal/rpm"
)

// collect takes the one source package out of where rpmbuild was told to put it
// or, for Makefiles that know better, of their own folder. The sandbox wrote both.
func collect(p Plan, home, tree *os.Root, out string) (SRPM, error) {
	from, found, err := find(home, outFolder)
	if err != nil {
		return SRPM{}, err
	}
	defer from.Close()
	if p.cfg.Layout == Make {
		own, more, err := find(tree, p.dir())
		if err != nil {
			return SRPM{}, err
		}
		defer own.Close()
		if len(found) == 0 {
			from = own
		}
		found = append(found, more...)
	}
	if len(found) != 1 {
		return SRPM{}, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the sources make %d source packages, not one", len(found)), "see in the log where they went")
	}
	return take(p.Package, from, found[0], out)
}

// find lists what is called like a source package in a folder of root.
func find(root *os.Root, folder string) (dir *os.Root, names []string, err error) {
	if dir, err = root.OpenRoot(folder); err != nil {
		return nil, nil, refuse("the folder %q is gone", folder, "leave it where it is")
	}
	entries, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".src.rpm") || strings.HasSuffix(e.Name(), ".nosrc.rpm") {
			if !e.Type().IsRegular() {
				err = refuse("%q is no file", e.Name(), "leave the source package itself there")
			}
			names = append(names, e.Name())
		}
	}
	if err != nil {
		dir.Close()
	}
	return dir, names, err
}

// take copies a source package out and verifies the copy.
func take(pkg string, from *os.Root, name, out string) (SRPM, error) {
	in, size, _, err := openRegular(from, name)
	if err != nil {
		return SRPM{}, err
	}
	defer in.Close()
	if _, err := rpm.ParseFilename(name); err != nil {
		return SRPM{}, err
	}
	file := filepath.Join(out, path.Base(name))
	to, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return SRPM{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), io.LimitReader(in, min(size, maxSRPM)))
	s := SRPM{Artifact: plague.Artifact{Name: name, Digest: hex.EncodeToString(sum.Sum(nil)), Size: n}}
	if err == nil {
		_, err = to.Seek(0, io.SeekStart)
	}
	if err == nil {
		s.NEVRA, err = verify(pkg, name, to)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return SRPM{}, errors.Join(err, os.Remove(file))
	}
	return s, nil
}

// verify says what a source package is, if it is whole and the one asked for.
func verify(pkg, name string, r io.Reader) (rpm.NEVRA, error) {
	h, err := rpm.Verify(r)
	if errors.Is(err, rpm.ErrNotRPM) {
		return rpm.NEVRA{}, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q cannot be read: %v", name, err), "see in the log what made it")
	}
	if err != nil {
		return rpm.NEVRA{}, err
	}
	n := h.NEVRA()
	if !h.IsSource() || n.Filename() != name {
		return rpm.NEVRA{}, refuse("the file %q is no source package of that name", name, "see in the log what made it")
	}
	if n.Name != pkg {
		return rpm.NEVRA{}, refuse("the sources are of the package %q, not of "+pkg, n.Name, "name the package as its spec does")
	}
	return n, nil
}
