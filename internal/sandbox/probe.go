package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plague"
)

// probeWall is how long a command that does nothing may take.
const probeWall = 20 * time.Second

// Probe runs a command that does nothing as a build would be run, with its folders below
// dir, as uid, and looks from inside at what confines it. It gives how long that took;
// an error is a plague.Refusal that says what keeps builds from running here, and the
// remedy.
func Probe(ctx context.Context, dir string, uid int) (time.Duration, error) {
	if os.Geteuid() != 0 {
		return 0, plague.Refuse(plague.ErrDenied, "only root can make a sandbox", "run it as root")
	}
	own, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return 0, plague.Refuse(plague.ErrUnavailable, "a sandbox has no folder: "+err.Error(), "mount it, or make it: mkdir -p "+dir)
	}
	defer os.RemoveAll(own)
	tools := filepath.Join(own, "tools")
	binds, err := HostTools(tools)
	if err != nil {
		return 0, plague.Refuse(plague.ErrUnavailable, err.Error(), "")
	}
	var said bytes.Buffer
	res, err := Native{}.Run(ctx, Command{
		Layers: []string{tools}, Work: filepath.Join(own, "run"), Binds: binds, UID: uid, GID: uid,
		Args: []string{"cat", "/proc/self/status"}, Env: []string{"PATH=/usr/bin:/bin"}, Output: &said, Limits: Limits{Wall: probeWall, Output: 64 << 10},
	})
	if err == nil && !res.OK() {
		err = fmt.Errorf("cat ended with exit %d, signal %d %s: %s", res.ExitCode, res.Signal, res.Reason, strings.TrimSpace(said.String()))
	}
	if err == nil {
		err = confined(said.String())
	}
	if err != nil {
		return 0, plague.Refuse(plague.ErrUnavailable, "no sandbox can be made: "+err.Error(), remedy(err))
	}
	return res.Took, nil
}

// confined says in what a command that printed its /proc/self/status is not confined.
func confined(status string) error {
	lines := strings.Split(status, "\n")
	for _, want := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !slices.Contains(lines, want) {
			return fmt.Errorf("a command in it has not %s", strings.ReplaceAll(want, "\t", " "))
		}
	}
	return nil
}

// remedy knows a step of the sandbox by its words, and what usually keeps it from
// working.
func remedy(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "make namespaces") || errors.Is(err, os.ErrPermission):
		return "in a container: give it CAP_SYS_ADMIN and no filter on clone (podman run --privileged); else sysctl user.max_mnt_namespaces user.max_pid_namespaces user.max_net_namespaces must not be 0"
	case strings.Contains(text, "mount overlay"):
		return "modprobe overlay; and work_dir must be on a file system such as ext4, xfs or btrfs, not on overlayfs or NFS"
	case strings.Contains(text, "seccomp") || strings.Contains(text, "Seccomp:"):
		return "use a kernel with CONFIG_SECCOMP_FILTER"
	case strings.Contains(text, "bind "):
		return "use Linux 5.12 or newer"
	}
	return ""
}
