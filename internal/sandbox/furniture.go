package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// devices makes a /dev of our own: what programs need and nothing that is the
// machine's.
func devices(dir string) error {
	if err := place(dir, true); err != nil {
		return err
	}
	if err := mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=64k"); err != nil {
		return err
	}
	nodes := []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
	for _, n := range nodes {
		file := path.Join(dir, n.name)
		if err := unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(n.major, n.minor))); err != nil {
			return fmt.Errorf("make %s: %w", file, err)
		}
		if err := os.Chmod(file, 0o666); err != nil { // whatever the umask is
			return err
		}
	}
	links := [][2]string{{"/proc/self/fd", "fd"}, {"fd/0", "stdin"}, {"fd/1", "stdout"}, {"fd/2", "stderr"}, {"pts/ptmx", "ptmx"}}
	for _, l := range links {
		if err := os.Symlink(l[0], path.Join(dir, l[1])); err != nil {
			return err
		}
	}
	for _, d := range []string{"pts", "shm"} {
		if err := os.Mkdir(path.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := mount("devpts", dir+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"); err != nil {
		return err
	}
	return mount("tmpfs", dir+"/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=256m")
}

// processes mounts the /proc of this namespace without what would reach the
// kernel: uid 0 may write to much of /proc/sys with no capability at all.
func processes(dir string) error {
	if err := place(dir, true); err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := mount("proc", dir, "proc", flags, ""); err != nil {
		return err
	}
	for _, name := range []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "asound"} {
		if err := again(path.Join(dir, name), path.Join(dir, name), flags|unix.MS_RDONLY); err != nil {
			return err
		}
	}
	for _, name := range []string{"kcore", "keys", "kmsg", "kallsyms", "timer_list", "sched_debug", "latency_stats", "kpagecount", "kpageflags", "kpagecgroup"} {
		if err := again("/dev/null", path.Join(dir, name), flags&^unix.MS_NODEV|unix.MS_RDONLY); err != nil {
			return err
		}
	}
	return nil
}

// system mounts /sys, which programs ask for the number of processors and little else.
func system(dir string) error {
	if err := place(dir, true); err != nil {
		return err
	}
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := mount("sysfs", dir, "sysfs", flags, ""); err != nil {
		return err
	}
	for _, name := range []string{"firmware", "kernel", "fs", "block", "dev"} {
		err := unix.Mount("tmpfs", path.Join(dir, name), "tmpfs", flags, "size=4k")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cover %s: %w", path.Join(dir, name), err)
		}
	}
	return nil
}

// again binds source on target and then sets its flags; a target that this
// kernel does not have needs no cover.
func again(source, target string, flags uintptr) error {
	err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|flags, "")
	}
	if err != nil {
		return fmt.Errorf("cover %s: %w", target, err)
	}
	return nil
}
