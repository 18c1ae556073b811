package sandbox_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plague"
	"plague/internal/sandbox"
)

// TestUsed: what a command held is measured, what is cached of files is not, and no
// control group stays.
func TestUsed(t *testing.T) {
	needRoot(t)
	const mega = 1 << 20
	c := tools(t)
	c.Args = []string{"sh", "-c", `head -c 200000000 /dev/zero > /tmp/cached; x=$(head -c 60000000 /dev/zero | tr '\0' x); sleep 1; test -n "$x"`}
	c.Env = []string{"PATH=/usr/bin:/bin"}
	res, err := sandbox.Native{}.Run(t.Context(), c)
	if err != nil || !res.OK() {
		t.Fatalf("%+v, %v", res, err)
	}
	t.Logf("%+v", res.Used)
	u := res.Used
	if u.Memory < 55*mega || u.Memory > 190*mega || u.Kills != 0 || u.FreeDisk <= 0 {
		t.Errorf("used: %+v", u)
	}
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.stat"); err == nil && u.Meter != plague.MeterGroup {
		t.Errorf("metered by %s where there are control groups", u.Meter)
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(name string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), fmt.Sprintf("plague-sandbox-%d-", os.Getpid())) {
			t.Errorf("%s is left", name)
		}
		return nil // groups of others come and go
	})
	if err != nil {
		t.Error(err)
	}
}
