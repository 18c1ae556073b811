package bench

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/<pid>/stat: USER_HZ, 100 a second on
// every Linux.
const clockTick = 10 * time.Millisecond

// cpu is the time that a farm's processes, and those of theirs that have ended,
// have computed: what a busy machine does not change.
func (f *Farm) cpu() map[string]time.Duration {
	used := map[string]time.Duration{}
	for kind, pids := range f.Processes() {
		for _, pid := range pids {
			used[kind] += cpuOf(pid)
		}
	}
	return used
}

func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // it has ended, and is in its parent's time
	}
	_, rest, _ := strings.Cut(string(text), ") ") // its name may hold anything
	fields := strings.Fields(rest)
	var ticks, sum int64
	for _, place := range []int{11, 12, 13, 14} { // utime, stime and the same of its children
		if place < len(fields) {
			if _, err := fmt.Sscan(fields[place], &ticks); err == nil {
				sum += ticks
			}
		}
	}
	return time.Duration(sum) * clockTick
}

// cpuNote says what n jobs cost since before.
func (f *Farm) cpuNote(before map[string]time.Duration, n int) string {
	var parts []string
	for _, kind := range []string{"server", "builder"} {
		if used := f.cpu()[kind] - before[kind]; used > 0 {
			parts = append(parts, fmt.Sprintf("%s %s ms", kind, short(ms(used)/float64(n))))
		}
	}
	return "CPU of a job: " + strings.Join(parts, ", ")
}
