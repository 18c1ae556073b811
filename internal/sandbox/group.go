package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

// subgroup is the group that a unit may put its own processes into (DelegateSubgroup= of
// systemd 254): with version 2, groups of builds can only be beside it, for no group may
// have both processes and groups that share out memory.
const subgroup = "plague"

// groupPrefix begins the names of the groups of sandboxes; the process that made one
// follows.
const groupPrefix = "plague-sandbox-"

// group is the control group of memory of one sandbox.
type group struct {
	groups
	dir string
}

// newGroup makes a group for a process and what it will start, beside or below that of
// this process.
func newGroup(member int) (*group, error) {
	g, own, err := ownGroup()
	if err != nil {
		return nil, err
	}
	above := path.Join(g.mount, own)
	if g.version == 2 {
		if path.Base(own) != subgroup {
			return nil, fmt.Errorf("%w for builds: this process is not in a group named %s", errNoGroups, subgroup)
		}
		above = path.Dir(above)
		if err := os.WriteFile(path.Join(above, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
			return nil, err
		}
	}
	sweepGroups(above)
	dir := path.Join(above, fmt.Sprintf("%s%d-%d", groupPrefix, os.Getpid(), member))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	made := &group{g, dir}
	if err := os.WriteFile(path.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(member)), 0); err != nil {
		return nil, errors.Join(err, made.remove())
	}
	return made, nil
}

// sweepGroups removes the groups of processes that were killed. One that has members is
// not removed by the kernel.
func sweepGroups(above string) {
	entries, err := os.ReadDir(above)
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), groupPrefix)
		pid, _, _ := strings.Cut(rest, "-")
		if _, err := os.Stat("/proc/" + pid); ours && errors.Is(err, os.ErrNotExist) {
			_ = os.Remove(path.Join(above, e.Name())) // the next one tries again
		}
	}
}

// held is the memory that cannot be given back: what is cached of files can.
func (g *group) held() (bytes int64) {
	for _, name := range g.resident {
		bytes += counter(path.Join(g.dir, "memory.stat"), name)
	}
	return bytes
}

// killed counts the processes that the kernel has killed for want of memory.
func (g *group) killed() int64 { return counter(path.Join(g.dir, g.kills), "oom_kill") }

func (g *group) remove() error { return os.Remove(g.dir) }

// MemoryKills counts the processes that the kernel has killed for want of memory, on the
// whole machine since its start.
func MemoryKills() int64 { return counter("/proc/vmstat", "oom_kill") }
