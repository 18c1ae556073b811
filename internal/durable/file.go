package durable

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// TempPrefix begins the name of everything that is not finished: Sweep removes it
// after a crash, and nothing that lists a folder should show it.
const TempPrefix = ".new-"

// WriteFile replaces a file in one step: after a crash it holds the old content
// or the new, and once WriteFile has returned nil, the new.
func (d *Dir) WriteFile(name string, data []byte, perm fs.FileMode) error {
	f, err := d.Create(name, perm)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// File is a file that becomes visible by Commit. It belongs to one goroutine.
type File struct {
	dir  *Dir
	file *os.File
	name string
	temp string
	perm fs.FileMode
	over bool // committed or aborted
}

// Create begins a file that Commit will put in the place of name, with exactly
// perm whatever the umask is. The caller defers Abort.
func (d *Dir) Create(name string, perm fs.FileMode) (*File, error) {
	if err := d.ask(OpCreate, name); err != nil {
		return nil, err
	}
	temp := path.Join(path.Dir(name), TempPrefix+rand.Text())
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{dir: d, file: f, name: name, temp: temp, perm: perm}, nil
}

func (f *File) Write(p []byte) (int, error) { return f.dir.write(f.file, f.name, p) }

// Commit brings the content to the disk and makes it visible under its name. On
// an error before that the unfinished file is removed; if only the last step, the
// folder's sync, fails, the file is visible and whole but may not survive.
func (f *File) Commit() error { return f.CommitAs(f.name) }

// CommitAs is Commit under a name that was not known when the file was begun.
func (f *File) CommitAs(name string) error {
	if f.over {
		return &fs.PathError{Op: "commit", Path: f.name, Err: fs.ErrClosed}
	}
	if err := f.finish(); err != nil {
		f.Abort()
		return err
	}
	if err := f.dir.ask(OpRename, name); err != nil {
		f.Abort()
		return err
	}
	if err := f.dir.root.Rename(f.temp, name); err != nil {
		f.Abort()
		return err
	}
	f.over = true
	return f.dir.SyncDir(path.Dir(name))
}

func (f *File) finish() error {
	if err := f.file.Chmod(f.perm); err != nil {
		return err
	}
	if err := f.dir.ask(OpSync, f.name); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	return f.file.Close()
}

// Abort removes the unfinished file; after Commit it does nothing.
func (f *File) Abort() {
	if f.over {
		return
	}
	f.over = true
	f.file.Close()
	if f.dir.ask(OpRemove, f.name) == nil {
		f.dir.root.Remove(f.temp) // what stays is swept later
	}
}

// Appender is a file that grows at its end: a log, a journal, a resumed download.
// A crash keeps any part of what was written since the last Sync. It belongs to
// one goroutine.
type Appender struct {
	dir  *Dir
	file *os.File
	name string
}

// OpenAppend opens a file to grow it, each Write at its end, wherever others have
// brought that. When it is absent it is made, with exactly perm, and its name is
// brought to the disk.
func (d *Dir) OpenAppend(name string, perm fs.FileMode) (*Appender, error) {
	return d.openEnd(name, perm, os.O_APPEND)
}

// OpenCopy is OpenAppend for a file that grows as another one does somewhere else:
// the first Write goes to the end the file has now, at, and each other one to where
// the one before it ended. So two processes that copy the same make one copy of it,
// not two.
func (d *Dir) OpenCopy(name string, perm fs.FileMode) (a *Appender, at int64, err error) {
	if a, err = d.openEnd(name, perm, 0); err != nil {
		return nil, 0, err
	}
	if at, err = a.file.Seek(0, io.SeekEnd); err != nil {
		a.Close()
		return nil, 0, err
	}
	return a, at, nil
}

func (d *Dir) openEnd(name string, perm fs.FileMode, flag int) (*Appender, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|flag, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = d.createEnd(name, perm, flag)
	}
	if err != nil {
		return nil, err
	}
	return &Appender{dir: d, file: f, name: name}, nil
}

// Touch makes an empty file with exactly perm if it is absent. Its name is not
// brought to the disk: SyncDir does, once for many.
func (d *Dir) Touch(name string, perm fs.FileMode) error {
	if err := d.ask(OpCreate, name); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm|0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(perm), f.Close())
}

func (d *Dir) createEnd(name string, perm fs.FileMode, flag int) (*os.File, error) {
	if err := d.ask(OpCreate, name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|flag, perm|0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(perm), d.SyncDir(path.Dir(name))); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (a *Appender) Write(p []byte) (int, error) { return a.dir.write(a.file, a.name, p) }

// ReadAt reads what is in the file already, such as the part of a download that
// an earlier process fetched.
func (a *Appender) ReadAt(p []byte, off int64) (int, error) { return a.file.ReadAt(p, off) }

// Stat describes the file.
func (a *Appender) Stat() (fs.FileInfo, error) { return a.file.Stat() }

// Truncate cuts the file, such as a journal's torn last line.
func (a *Appender) Truncate(size int64) error {
	if err := a.dir.ask(OpTruncate, a.name); err != nil {
		return err
	}
	return a.file.Truncate(size)
}

// Chmod changes the file's permission, also when another file has its name by now.
func (a *Appender) Chmod(perm fs.FileMode) error {
	if err := a.dir.ask(OpChmod, a.name); err != nil {
		return err
	}
	return a.file.Chmod(perm)
}

// Sync brings what was written to the disk.
func (a *Appender) Sync() error {
	if err := a.dir.ask(OpSync, a.name); err != nil {
		return err
	}
	return a.file.Sync()
}

// Close closes the file without a Sync.
func (a *Appender) Close() error { return a.file.Close() }
