package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Adopt gives a file outside of the folder a name in it: by a hard link, or
// by a copy where the two are on different disks, or the file has as many names as
// its file system allows (65,000 on ext4; empty logs get there). source is the
// caller's own path, never one that somebody else named.
func (d *Dir) Adopt(source, name string) error {
	if err := d.ask(OpLink, name); err != nil {
		return err
	}
	folder, err := d.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer folder.Close()
	err = unix.Linkat(unix.AT_FDCWD, source, int(folder.Fd()), path.Base(name), 0)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EMLINK) {
		return &fs.PathError{Op: OpLink, Path: name, Err: err}
	}
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := d.Create(name, 0o444)
	if err != nil {
		return err
	}
	defer to.Abort()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Commit()
}
