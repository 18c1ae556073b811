package builder

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Folder is one of the daemon's, held by somebody who is root. The daemon is
// not trusted with root's paths: it may put a symbolic link, or another folder, in
// the place of any of its own at any time. What was opened stays what it was.
type Folder struct{ file *os.File }

// OpenFolder opens the folder name below dir, which is root's own, if no symbolic
// link is on the way (openat2(2)).
func OpenFolder(dir, name string) (*Folder, error) {
	top, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	fd, err := unix.Openat2(int(top.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open folder", Path: filepath.Join(dir, name), Err: err}
	}
	return &Folder{os.NewFile(uintptr(fd), filepath.Join(dir, name))}, nil
}

// Path leads to the folder, and nowhere else, until Close.
func (f *Folder) Path() string { return held(f.file) }

// Close lets go of the folder.
func (f *Folder) Close() error { return f.file.Close() }

// held is a path to what was opened, whatever bears its name now: proc(5).
func held(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
