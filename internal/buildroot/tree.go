package buildroot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
)

// tree is a stack of layers, the topmost first, looked at from outside. What is
// in them was written by packages: every name is followed inside its layer only.
type tree []string

// readFile gives the content of a small file as a program in the tree would see it.
func (t tree) readFile(name string) ([]byte, error) {
	for _, layer := range t {
		data, err := readIn(layer, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

const maxSmallFile = 4 << 20

func readIn(layer, name string) ([]byte, error) {
	root, err := os.OpenRoot(layer)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if len(data) > maxSmallFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxSmallFile)
	}
	return data, err
}

// openRegular opens a file for reading, unless it is a device or a pipe that
// somebody put in its place.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ghost is a root folder that holds nothing but rpm's database: all that dnf has
// to see of a buildroot to say what it lacks.
type ghost struct{ path, dbpath string }

// haunt makes a ghost of the tree at the new folder dir.
func (t tree) haunt(dir, dbpath string, give func(string) error) (ghost, error) {
	db := filepath.Join(dir, dbpath)
	if err := os.MkdirAll(db, 0o755); err != nil {
		return ghost{}, err
	}
	seen := []string{}
	for _, layer := range t {
		names, err := copyDatabase(db, layer, dbpath, seen)
		if err != nil {
			return ghost{}, fmt.Errorf("copy the database of rpm: %w", err)
		}
		seen = append(seen, names...)
	}
	return ghost{dir, dbpath}, giveTree(dir, give)
}

// giveTree gives away a folder and what is in it, each folder after all that it holds:
// whoever has one may put a link in the place of what is below.
func giveTree(dir string, give func(string) error) error {
	var names []string
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		if err := give(name); err != nil {
			return err
		}
	}
	return nil
}

// copyDatabase copies what one layer adds to those above it. A name that is no
// file, such as overlay's mark for a removed one, hides what is below.
func copyDatabase(dst, layer, dbpath string, seen []string) ([]string, error) {
	root, err := os.OpenRoot(layer)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	rel := path.Clean(dbpath)[1:]
	entries, err := fs.ReadDir(root.FS(), rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if !e.Type().IsRegular() || slices.Contains(seen, e.Name()) {
			continue
		}
		if err := copyOut(filepath.Join(dst, e.Name()), root, path.Join(rel, e.Name()), 1<<30); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// copyOut copies the file name of root to the new file dst, if it is regular and
// not larger than max.
func copyOut(dst string, root *os.Root, name string, max int64) error {
	in, err := openRegular(root, name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, max+1))
	if err == nil && n > max {
		err = fmt.Errorf("%s is larger than %d bytes", name, max)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// writeNew makes a new file in a folder of results, which is the daemon's: a link that
// it has laid there is not followed.
func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// copyFile makes the new file dst from src, sharing its blocks where the file
// system can.
func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
