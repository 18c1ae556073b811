package builder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Folder is one of the daemon's, held by somebody who is root. The daemon is
// not trusted with root's paths: it may put a symbolic link, or another folder, in
// the place of any of its own at any time. What was opened stays what it was.
type Folder struct{ file *os.File }

// OpenFolder opens the folder name below dir, which is root's own, if no symbolic
// link is on the way.
func OpenFolder(dir, name string) (*Folder, error) {
	top, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	fd, err := openBeneath(int(top.Fd()), name)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		fd, err = openByStep(int(top.Fd()), name)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open folder", Path: filepath.Join(dir, name), Err: err}
	}
	return &Folder{os.NewFile(uintptr(fd), filepath.Join(dir, name))}, nil
}

// openBeneath has the kernel follow nothing: openat2(2), since Linux 5.6.
func openBeneath(top int, name string) (int, error) {
	return unix.Openat2(top, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// openByStep does the same where the kernel is older, or a container's filter does
// not know the call (EPERM): each step is taken from what the one before opened.
func openByStep(top int, name string) (int, error) {
	if !filepath.IsLocal(name) {
		return -1, unix.EXDEV
	}
	at, err := unix.Openat(top, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for step := range strings.SplitSeq(filepath.Clean(name), "/") {
		next, err := unix.Openat(at, step, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(at)
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

// Make makes the folder name in this one unless it is there, and gives it to an
// account; a link in its place is refused.
func (f *Folder) Make(name string, uid, gid int) error {
	if err := unix.Mkdirat(int(f.file.Fd()), name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return &os.PathError{Op: "make folder", Path: filepath.Join(f.file.Name(), name), Err: err}
	}
	made, err := OpenFolder(f.Path(), name)
	if err != nil {
		return err
	}
	return errors.Join(made.file.Chown(uid, gid), made.Close())
}

// Path leads to the folder, and nowhere else, until Close.
func (f *Folder) Path() string { return held(f.file) }

// Close lets go of the folder.
func (f *Folder) Close() error { return f.file.Close() }

// held is a path to what was opened, whatever bears its name now: proc(5).
func held(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
