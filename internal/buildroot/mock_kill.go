package buildroot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mockDeath is how long processes may take to die of SIGKILL.
const mockDeath = 10 * time.Second

// killAll kills processes until there are none. They are stopped first: one that forks
// is not to be faster.
func killAll(find func(map[int]process) []int) error {
	late := time.NewTimer(mockDeath)
	defer late.Stop()
	for pause := time.Millisecond; ; pause = min(2*pause, mockTick) {
		all, err := processes()
		if err != nil {
			return err
		}
		pids := slices.DeleteFunc(find(all), func(pid int) bool { return all[pid].dead })
		if len(pids) == 0 {
			return nil
		}
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, pid := range pids {
				if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
					return fmt.Errorf("kill process %d of mock: %w", pid, err)
				}
			}
		}
		t := time.NewTimer(pause)
		select {
		case <-late.C:
			t.Stop()
			return fmt.Errorf("processes of mock do not die: %v", pids)
		case <-t.C:
		}
	}
}

// process is a line of the machine's list.
type process struct {
	parent   int
	dead     bool // and nobody has asked how it ended
	terminal bool // a person sits before it
}

func processes() (map[int]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	all := map[int]process{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil { // it ended meanwhile
			continue
		}
		// proc(5): the name in parentheses may hold anything, then come state, parent,
		// group, session and terminal
		words := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(words) < 5 {
			continue
		}
		parent, err := strconv.Atoi(string(words[1]))
		if err != nil {
			continue
		}
		all[pid] = process{parent, string(words[0]) == "Z" || string(words[0]) == "X", string(words[4]) != "0"}
	}
	return all, nil
}

// below gives those that descend from some processes.
func below(all map[int]process, from ...int) (found []int) {
	for len(from) > 0 {
		var next []int
		for pid, p := range all {
			if slices.Contains(from, p.parent) && !slices.Contains(found, pid) {
				next = append(next, pid)
			}
		}
		found, from = append(found, next...), next
	}
	return found
}

// children are the processes that this one has started, and what they have lost.
func children(all map[int]process) []int { return below(all, os.Getpid()) }

// within finds what runs for the build in a folder, whoever started it: mock itself by
// its command line, what has its root there or works there, and what these have started.
func within(dir string) func(all map[int]process) []int {
	return func(all map[int]process) []int {
		var found []int
		for pid, p := range all {
			if pid != os.Getpid() && belongs(filepath.Join("/proc", strconv.Itoa(pid)), dir, p) {
				found = append(found, pid)
			}
		}
		return slices.Compact(slices.Sorted(slices.Values(append(found, below(all, found...)...))))
	}
}

func belongs(proc, dir string, p process) bool {
	in := func(link string) bool {
		at, err := os.Readlink(filepath.Join(proc, link))
		return err == nil && strings.HasPrefix(at+"/", dir+"/")
	}
	if in("root") || in("cwd") && !p.terminal { // somebody may just look there
		return true
	}
	line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	return err == nil && slices.Contains(strings.Split(string(line), "\x00"), "--resultdir="+filepath.Join(dir, "result"))
}
