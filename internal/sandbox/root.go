package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// enter makes the root folder of the sandbox and moves into it. All mounts are
// private to this namespace and go with it. Those whose place is named by the
// layers' content are made after the move: a layer with a symbolic link in that
// place must not lead us to a folder of the machine.
func enter(o order) error {
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	options := "lowerdir=" + strings.Join(o.Layers, ":") + ",upperdir=" + o.Upper + ",workdir=" + o.Scratch + ",volatile"
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("%d layers have longer names than the kernel takes", len(o.Layers))
	}
	if err := mount("overlay", o.Mount, "overlay", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		return err
	}
	trees, err := openBinds(o.Binds)
	if err != nil {
		return err
	}
	if err := os.Chdir(o.Mount); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return furnish(o, trees)
}

// furnish fills the new root: /dev, /proc, /sys, binds, host name, loopback.
func furnish(o order, trees []int) error {
	if err := devices("/dev"); err != nil {
		return err
	}
	if err := processes("/proc"); err != nil {
		return err
	}
	if err := system("/sys"); err != nil {
		return err
	}
	for i, b := range o.Binds {
		if err := moveBind(trees[i], b); err != nil {
			return err
		}
	}
	if o.Nested != "" {
		if err := devices(path.Join(o.Nested, "dev")); err != nil {
			return err
		}
		if err := processes(path.Join(o.Nested, "proc")); err != nil {
			return err
		}
	}
	host := o.Hostname
	if host == "" {
		host = "builder"
	}
	if err := unix.Sethostname([]byte(host)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("bring up the loopback: %w", err)
	}
	dir := o.Dir
	if dir == "" {
		dir = "/"
	}
	return os.Chdir(dir)
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

// openBinds takes hold of the machine's folders while they can still be seen.
func openBinds(binds []Bind) ([]int, error) {
	trees := make([]int, len(binds))
	for i, b := range binds {
		fd, err := unix.OpenTree(unix.AT_FDCWD, b.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("bind %s: %w", b.Source, err)
		}
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
		if b.ReadOnly {
			attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
		}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return nil, fmt.Errorf("bind %s: %w", b.Source, err)
		}
		trees[i] = fd
	}
	return trees, nil
}

func moveBind(tree int, b Bind) error {
	defer unix.Close(tree)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return fmt.Errorf("bind %s: %w", b.Source, err)
	}
	if err := place(b.Target, st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return fmt.Errorf("bind on %s: %w", b.Target, err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, b.Target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("bind on %s: %w", b.Target, err)
	}
	return nil
}

// place makes sure that there is something to mount on.
func place(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}
