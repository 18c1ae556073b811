package builder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// controlIn gives a short path to the socket: an address may have 107 bytes only,
// and a work folder can be deeper.
func controlIn(dir *os.File) string { return filepath.Join(held(dir), controlFile) }

// listen opens the socket for uid.
func listen(dir string, uid int) (*net.UnixListener, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: controlIn(f), Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // its name is gone with the folder
	if err := giveSocket(int(f.Fd()), uid); err != nil {
		l.Close()
		return nil, fmt.Errorf("%s of %s: %w", controlFile, dir, err)
	}
	return l, nil
}

// giveSocket gives away the socket in a folder. The folder is the daemon's: what
// it may put in the socket's place, such as a hard link to a file of root's, must
// not become its own.
func giveSocket(folder, uid int) error {
	fd, err := unix.Openat(folder, controlFile, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
		return errors.New("it is not the socket that was made")
	}
	// whatever the umask is; there is no fchmod of such a file
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o600); err != nil {
		return err
	}
	return unix.Fchownat(fd, "", uid, -1, unix.AT_EMPTY_PATH)
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", controlIn(f))
}
