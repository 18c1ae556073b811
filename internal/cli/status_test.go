package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"plague"
)

// TestStatus: what status says is what the farm is, paused and busy and at rest.
func TestStatus(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 2})
	f.start()
	status := func(words ...string) {
		t.Helper()
		f.wait(fmt.Sprintf("a status with %q", words), func(context.Context) error {
			out, errs, code := f.run("status")
			for _, w := range words {
				if code != 0 || !strings.Contains(out, w) {
					return fmt.Errorf("exit %d\n%s%s", code, out, errs)
				}
			}
			return nil
		})
	}
	status("builders: 1 of 1 answer, 0 suspended; 2 of 2 slots free\n")
	f.run("pause")
	uid := f.submit(tinySRPM(t, "one", gate))
	status("paused by "+f.User, "1 waiting\n", fmt.Sprintf("job %d has waited since ", uid))
	f.run("unpause")
	status("1 of 2 slots free", "1 building\n")
	out, _, _ := f.run("status", "--json")
	var st struct {
		Paused bool
		Jobs   map[string]int
		Slots  int
		Oldest plague.JobID `json:"oldest_waiting"`
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Paused || st.Jobs["building"] != 1 || st.Jobs["waiting"] != 0 || st.Slots != 2 || st.Oldest != 0 {
		t.Errorf("%v, %s", err, out)
	}
	f.openGates()
	f.until(uid, plague.JobNeedSign)
	status("1 needsign\n")
}
