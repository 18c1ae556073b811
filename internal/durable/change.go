package durable

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// Rename moves old to new, replacing a file of that name in one step, and brings
// both folders to the disk.
func (d *Dir) Rename(old, new string) error {
	if err := d.Replace(old, new); err != nil {
		return err
	}
	if err := d.SyncDir(path.Dir(new)); err != nil {
		return err
	}
	if path.Dir(old) == path.Dir(new) {
		return nil
	}
	return d.SyncDir(path.Dir(old))
}

// SyncDir brings the names in a folder to the disk; "." is d itself.
func (d *Dir) SyncDir(name string) error {
	if err := d.ask(OpSyncDir, name); err != nil {
		return err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// SyncPath brings the names in a folder to the disk, and those of the folder and all
// above it up to d. Those that are there already cost next to nothing.
func (d *Dir) SyncPath(name string) error {
	for name = path.Clean(name); ; name = path.Dir(name) {
		if err := d.SyncDir(name); err != nil || name == "." {
			return err
		}
	}
}

// MkdirAll makes a folder, and the parents it lacks, each with exactly perm, and
// brings their names to the disk. A folder that is there is left as it is.
func (d *Dir) MkdirAll(name string, perm fs.FileMode) error {
	made, err := d.Mkdirs(name, perm)
	if err != nil || !made {
		return err
	}
	return d.SyncPath(path.Dir(path.Clean(name)))
}

// The changes below come in crowds (the thousand links of a snapshot), so they do
// not bring their folder to the disk: SyncDir does, once, where it matters. After
// a power cut without it they may be undone.

// Mkdirs makes a folder, and the parents it lacks, each with exactly perm. A folder
// that is there is left as it is: then it has made none.
func (d *Dir) Mkdirs(name string, perm fs.FileMode) (made bool, err error) {
	name = path.Clean(name)
	info, err := d.root.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return false, nil
	case err == nil:
		return false, &fs.PathError{Op: OpMkdir, Path: d.hookName(name), Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	if parent := path.Dir(name); parent != name {
		if _, err := d.Mkdirs(parent, perm); err != nil {
			return false, err
		}
	}
	if err := d.ask(OpMkdir, name); err != nil {
		return false, err
	}
	if err := d.root.Mkdir(name, perm); errors.Is(err, fs.ErrExist) { // another goroutine was faster
		return true, nil
	} else if err != nil {
		return false, err
	}
	return true, d.root.Chmod(name, perm) // whatever the umask is
}

// Replace moves old to new, replacing a file of that name in one step. Of two names of
// one file, with which rename(2) does nothing, new stays.
func (d *Dir) Replace(old, new string) error {
	if err := d.ask(OpRename, new); err != nil {
		return err
	}
	switch same, err := d.SameFile(old, new); {
	case err != nil:
		return err
	case same:
		return d.root.Remove(old)
	}
	return d.root.Rename(old, new)
}

// SameFile says whether two names are of one file; another that is not there is not.
func (d *Dir) SameFile(name, other string) (bool, error) {
	a, err := d.root.Lstat(name)
	if err != nil {
		return false, err
	}
	b, err := d.root.Lstat(other)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(a, b), err
}

// Link gives the file old a second name.
func (d *Dir) Link(old, new string) error {
	if err := d.ask(OpLink, new); err != nil {
		return err
	}
	return d.root.Link(old, new)
}

// Symlink makes a symbolic link new that says old.
func (d *Dir) Symlink(old, new string) error {
	if err := d.ask(OpSymlink, new); err != nil {
		return err
	}
	return d.root.Symlink(old, new)
}

// Chmod changes the permission of a file or folder.
func (d *Dir) Chmod(name string, perm fs.FileMode) error {
	if err := d.ask(OpChmod, name); err != nil {
		return err
	}
	return d.root.Chmod(name, perm)
}

// Remove removes a file or an empty folder.
func (d *Dir) Remove(name string) error {
	if err := d.ask(OpRemove, name); err != nil {
		return err
	}
	return d.root.Remove(name)
}

// RemoveAll removes name and all below it; a name that is absent is no error.
func (d *Dir) RemoveAll(name string) error {
	if err := d.ask(OpRemoveAll, name); err != nil {
		return err
	}
	return d.root.RemoveAll(name)
}

// Sweep removes what crashes left in d and below it: files and folders whose name
// begins with TempPrefix and that nobody has written to for age. At the start of
// the only process that writes here every one of them is a leftover: age 0.
func (d *Dir) Sweep(age time.Duration) error {
	return d.Walk(".", func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // somebody else removed it meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if !strings.HasPrefix(path.Base(name), TempPrefix) {
			return nil
		}
		if age > 0 {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if time.Since(info.ModTime()) < age {
				return skip(e)
			}
		}
		if err := d.RemoveAll(name); err != nil {
			return err
		}
		return skip(e)
	})
}

// skip keeps a walk out of a folder; for a file, fs.SkipDir would skip its siblings.
func skip(e fs.DirEntry) error {
	if e.IsDir() {
		return fs.SkipDir
	}
	return nil
}
