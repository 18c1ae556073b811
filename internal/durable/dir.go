// Package durable keeps files that survive a crash: a file is there whole or not
// at all, a name that was promised is on the disk, and no name leads out of its
// folder. Everything that a daemon must remember or hand on passes through here,
// and so does every injected fault (Hook): docs/adr/0002-durable-files.md.
//
// Errors are those of os: fs.ErrNotExist and syscall.ENOSPC stay recognisable.
package durable

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// Dir is a folder reached through os.Root: no name, and no symbolic link, leads
// outside of it. Its methods may be called from many goroutines.
type Dir struct {
	root *os.Root
	path string // absolute; stale once the folder is renamed
	rel  string // from the folder given to Open, for the hook
	hook Hook   // nil: nothing is asked
}

// Open opens the folder path. When it is absent it is made with exactly perm,
// and its parents with 0755 less the umask.
func Open(path string, perm fs.FileMode) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	if err := makeOutside(abs, perm); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	return &Dir{root: root, path: abs}, nil
}

// makeOutside makes the folder that is to become a root, so it cannot go through one.
func makeOutside(abs string, perm fs.FileMode) error {
	if _, err := os.Stat(abs); err == nil {
		return nil
	}
	parent := filepath.Dir(abs)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(abs, perm); err != nil {
		if os.IsExist(err) { // somebody made it in between
			return nil
		}
		return err
	}
	if err := os.Chmod(abs, perm); err != nil { // whatever the umask is
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// WithHook returns the same folder, over the same root, with h asked about every
// change; every Sub of it asks h too. Closing either closes both.
func (d *Dir) WithHook(h Hook) *Dir {
	hooked := *d
	hooked.hook = h
	return &hooked
}

// Sub opens the folder name below d and makes it (0755) when absent. It is to be
// closed by itself.
func (d *Dir) Sub(name string) (*Dir, error) {
	if err := d.MkdirAll(name, 0o755); err != nil {
		return nil, err
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root, path: d.Path(name), rel: d.hookName(name), hook: d.hook}, nil
}

func (d *Dir) hookName(name string) string { return path.Join(d.rel, name) }

// Path returns the absolute path of a name below d, to be handed to a process.
// By its letters it never leads outside of d; a symbolic link on the way may.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(d.path, filepath.Join("/", filepath.Join(elem...)))
}

// Open opens a file for reading. It does not wait for the other end of a FIFO,
// which a build may have left where a file is expected.
func (d *Dir) Open(name string) (*os.File, error) {
	return d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// ReadFile returns the whole content of a file that this farm wrote itself; what
// others wrote is read through Open, with a limit.
func (d *Dir) ReadFile(name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Stat describes what name stands for, behind symbolic links.
func (d *Dir) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

// Lstat describes name itself.
func (d *Dir) Lstat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }

// Readlink returns what the symbolic link name says.
func (d *Dir) Readlink(name string) (string, error) { return d.root.Readlink(name) }

// ReadDir lists a folder, sorted by name; "." is d itself.
func (d *Dir) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(d.root.FS(), name)
}

// Walk calls fn for name and everything below it, in lexical order, without
// following symbolic links; "." is d itself.
func (d *Dir) Walk(name string, fn fs.WalkDirFunc) error {
	return fs.WalkDir(d.root.FS(), name, fn)
}

// Free returns how many bytes an unprivileged process can still write here.
func (d *Dir) Free() (uint64, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: d.path, Err: err}
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// Close lets go of the folder; nothing is written by it.
func (d *Dir) Close() error { return d.root.Close() }
