package sandbox

import (
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	const table = "low 1\noom 7\noom_kill 3\nempty\nMemAvailable:   23616 kB\n"
	for name, want := range map[string]int64{"oom": 7, "oom_kill": 3, "MemAvailable:": 23616, "empty": 0, "high": 0} {
		if got := read(strings.NewReader(table), name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// TestMemory asks this machine's own kernel, in whatever group the test runs.
func TestMemory(t *testing.T) {
	if all, free := Memory(); all < 1<<26 || free <= 0 || free > all {
		t.Errorf("%d of %d bytes are free", free, all)
	}
}
