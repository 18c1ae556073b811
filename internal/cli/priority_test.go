package cli

import (
	"fmt"
	"strings"
	"testing"

	"plague"
)

// TestPriority: a waiting job goes before an older one once somebody who may has said
// so, and what is no priority changes nothing.
func TestPriority(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	busy := f.submit(tinySRPM(t, "busy", gate)) // in the only slot
	f.building(busy)
	first, second := f.submit(tinySRPM(t, "one", gate)), f.submit(tinySRPM(t, "two", gate))
	for _, tt := range []struct{ number, uid, says string }{
		{"101", fmt.Sprint(second), "priorities are from -100 to 100"},
		{"high", fmt.Sprint(second), "it is a number from -100 to 100"},
		{"5", "999", "there is no job 999"},
	} {
		if _, errs, code := f.run("priority", tt.number, tt.uid); code == 0 || !strings.Contains(errs, tt.says) {
			t.Errorf("priority %s %s: exit %d, %s", tt.number, tt.uid, code, errs)
		}
	}
	want := fmt.Sprintf("Job %d (two-1-1) has the priority 5.\n", second)
	if out, errs, code := f.run("priority", "5", fmt.Sprint(second)); code != 0 || out != want {
		t.Errorf("exit %d, %q, %s; want %q", code, out, errs, want)
	}
	if out, errs, code := f.run("priority", "--", "-3", fmt.Sprint(first)); code != 0 {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	if out, _, _ := f.run("detail", fmt.Sprint(second)); !strings.Contains(out, "priority:  5\n") {
		t.Errorf("detail says\n%s", out)
	}
	f.openGates()
	f.until(busy, plague.JobNeedSign)
	f.building(second)
	f.openGates()
	f.until(second, plague.JobNeedSign)
	f.building(first)
	f.openGates()
	f.until(first, plague.JobNeedSign)
	if _, errs, code := f.run("priority", "0", fmt.Sprint(first)); code == 0 || !strings.Contains(errs, "nothing of this job waits any more") {
		t.Errorf("exit %d, %s", code, errs)
	}
}
