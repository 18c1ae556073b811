package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// With version 2 a group that shares out memory takes no processes, and systemd starts a
// unit's main process in the unit's own group (before 254, which has DelegateSubgroup=). So
// the builder goes down into a group of its own when it starts, and when it has ended,
// with builds that run on, the unit's group is made to take a process again.

// control is the group below a delegated unit's in which systemd runs ExecStopPost=.
const control = ".control"

// Settle moves this process, and what else is in its unit's group, down into subgroup, so
// that builds get groups beside it. Where systemd has delegated nothing it does nothing.
func Settle() error {
	g, own, err := ownGroup()
	if err != nil || g.version != 2 {
		return nil // builds are measured in another way
	}
	return settle(path.Join(g.mount, own), delegated)
}

func settle(unit string, delegated func(dir string) bool) error {
	if !delegated(unit) {
		return nil
	}
	members, err := os.ReadFile(path.Join(unit, "cgroup.procs"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(path.Join(unit, subgroup), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, pid := range strings.Fields(string(members)) {
		err := os.WriteFile(path.Join(unit, subgroup, "cgroup.procs"), []byte(pid), 0)
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
			return fmt.Errorf("move process %s to its group: %w", pid, err)
		}
	}
	return share(unit, "+memory")
}

// Vacate lets systemd put a process into the unit's own group, for ExecStopPost=. Builds
// that run are not measured from here to Settle, and anew from there.
func Vacate() error {
	g, own, err := ownGroup()
	if err != nil || g.version != 2 || path.Base(own) != control {
		return nil
	}
	return vacate(path.Join(g.mount, path.Dir(own)), delegated)
}

func vacate(unit string, delegated func(dir string) bool) error {
	if !delegated(unit) {
		return nil
	}
	return share(unit, "-memory")
}

// share has a group share out a controller among those below it, or no longer.
func share(dir, controller string) error {
	return os.WriteFile(path.Join(dir, "cgroup.subtree_control"), []byte(controller), 0)
}

// delegated says whether systemd has left what is below a group to its unit.
func delegated(dir string) bool {
	var value [8]byte
	n, err := unix.Getxattr(dir, "trusted.delegate", value[:])
	return err == nil && string(value[:n]) == "1"
}
