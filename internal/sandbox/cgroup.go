package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// groups is how the kernel shows control groups of memory: one tree for all controllers
// (version 2), or one for each (version 1). Their files differ in names alone.
type groups struct {
	version             int
	mount               string   // where the tree is mounted
	limit, usage, cache string   // files, and the line of memory.stat that is no burden
	resident            []string // lines of memory.stat that cannot be given back
	kills               string   // file whose line oom_kill counts what was killed
}

func version2() groups {
	return groups{2, "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file", []string{"anon", "shmem", "kernel"}, "memory.events"}
}

func version1() groups {
	return groups{1, "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
		[]string{"total_rss", "total_shmem"}, "memory.oom_control"}
}

var errNoGroups = errors.New("this machine has no control groups of memory")

// ownGroup is the folder of this process' control group of memory.
func ownGroup() (groups, string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return groups{}, "", err
	}
	var g groups
	dir := ""
	for line := range strings.Lines(string(data)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, name, _ := strings.Cut(rest, ":")
		switch {
		case controllers == "" && dir == "":
			g, dir = version2(), name
		case strings.Contains(","+controllers+",", ",memory,"): // then version 2 has it not
			g, dir = version1(), name
		}
	}
	if dir == "" || !path.IsAbs(dir) || path.Clean(dir) != dir {
		return g, "", errNoGroups
	}
	if _, err := os.Stat(path.Join(g.mount, dir, g.usage)); err != nil && dir != "/" {
		return g, "", fmt.Errorf("%w: %w", errNoGroups, err)
	}
	return g, dir, nil
}

// Memory is what programs here can have, in bytes, and what is free of it: of the
// machine, or of its control group if that has less. 0: it cannot be asked.
func Memory() (all, free int64) {
	all, free = counter("/proc/meminfo", "MemTotal:")<<10, counter("/proc/meminfo", "MemAvailable:")<<10
	if limit, used, err := memoryLimit(); err == nil && limit < all {
		all, free = limit, min(free, max(limit-used, 0))
	}
	return all, free
}

// memoryLimit is the memory that this process' control group may have, and what it
// has without what could be given back at once. The limit of any group above counts.
func memoryLimit() (limit, used int64, err error) {
	g, dir, err := ownGroup()
	if err != nil {
		return 0, 0, err
	}
	for top := false; !top; dir = path.Dir(dir) {
		top = dir == "/" // which has a limit in a container, where it is the container's
		at := path.Join(g.mount, dir)
		data, err := os.ReadFile(path.Join(at, g.limit))
		if err != nil && !top {
			return 0, 0, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		if err == nil && (limit == 0 || n < limit) { // "max" is no number
			limit, used = n, max(0, number(path.Join(at, g.usage))-counter(path.Join(at, "memory.stat"), g.cache))
		}
	}
	if limit == 0 {
		return 0, 0, errors.New("no control group limits memory")
	}
	return limit, used, nil
}

func number(file string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

func counter(file, name string) int64 {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	return read(f, name)
}

// read gives the number behind a name in a table of the kernel's, one to a line;
// 0: it is not there.
func read(r io.Reader, name string) int64 {
	for s := bufio.NewScanner(r); s.Scan(); {
		if words := strings.Fields(s.Text()); len(words) > 1 && words[0] == name {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			return n
		}
	}
	return 0
}
