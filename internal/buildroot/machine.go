package buildroot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"plague"
)

// Programs says which programs of this machine native builds run: dnf, which resolves
// and downloads, and rpm, which installs the first packages of a buildroot. rpmbuild
// and every other program are the buildroot's own. An error is a plague.Refusal with the
// remedy.
func Programs() (seen []string, err error) {
	dnf, err := exec.LookPath("dnf")
	if err != nil {
		return nil, plague.Refuse(plague.ErrUnavailable, "there is no dnf on the PATH ("+os.Getenv("PATH")+")", "apt-get install dnf dnf-plugins-core, or dnf install dnf-plugins-core")
	}
	rpm, err := inside("rpm")
	if err != nil {
		return nil, plague.Refuse(plague.ErrUnavailable, "there is no rpm where sandboxes look ("+strings.TrimPrefix(installEnv()[0], "PATH=")+")", "apt-get install rpm, or dnf install rpm")
	}
	return []string{dnf, rpm}, nil
}

// inside finds a program of this machine where a sandbox that shows its tools does.
func inside(name string) (string, error) {
	for _, dir := range filepath.SplitList(strings.TrimPrefix(installEnv()[0], "PATH=")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// probeTime bounds a dnf that is only asked how it is used.
const probeTime = time.Minute

// ProbeDnf has dnf say how its command builddep is used, as the user of downloads, the
// way every build runs it: in a user namespace of its own. An error is a plague.Refusal.
func (n *Native) ProbeDnf(ctx context.Context, uid, gid int) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	dir, err := os.MkdirTemp(n.Work, "probe-")
	if err != nil {
		return plague.Refuse(plague.ErrUnavailable, "dnf has no folder: "+err.Error(), "mkdir -p "+n.Work)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the user of downloads passes through
		return err
	}
	d := &dnf{dir: filepath.Join(dir, "fetch"), cache: filepath.Join(dir, "cache"), uid: uid, gid: gid, log: io.Discard}
	if err := d.begin(); err != nil {
		return err
	}
	said, err := d.run(ctx, []string{"-c", filepath.Join(d.dir, "dnf.conf"), "--installroot=" + filepath.Join(d.dir, "tmp"), "--releasever=1",
		"--disableplugin=*", "--enableplugin=builddep", "builddep", "--help"})
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && strings.Contains(said, "No such command"):
		return plague.Refuse(plague.ErrUnavailable, "dnf has no command builddep", "apt-get install dnf-plugins-core, or dnf install dnf-plugins-core")
	case errors.As(err, &exit):
		return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("dnf does not work: %v: %s", err, lastLine(said)), "")
	}
	return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("dnf cannot be run as uid %d in a user namespace: %v", uid, err),
		"sysctl -w user.max_user_namespaces=15000; in a container: podman run --privileged")
}
