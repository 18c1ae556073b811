package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plague"
)

// TestRebind: a builder that obeyed another farm builds nothing for this one
// until it is told to.
func TestRebind(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	b := f.builders[0]
	rebind := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "plague", append([]string{"builder", "rebind", "-c", f.file("builder", "builder1.cfg")}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := rebind(); err == nil || !strings.Contains(out, "no builder has run in") {
		t.Errorf("before the first start: %v, %s", err, out)
	}
	f.start()
	f.until(f.submit(tinySRPM(t, "before", ":")), plague.JobNeedSign)
	if out, err := rebind(); err == nil || !strings.Contains(out, "stop it first") {
		t.Errorf("while it runs: %v, %s", err, out)
	}
	b.kill()
	orders := filepath.Join(f.works[0], "daemon", "orders.json")
	if err := os.WriteFile(orders, []byte(`{"farm":"elsewhere","term":7,"sequence":9}`), 0o644); err != nil {
		t.Fatal(err)
	}
	b.start()
	f.wait("the builder to be shown as another farm's", func(ctx context.Context) error {
		out, _, _ := f.run("list_builders")
		if !strings.Contains(out, "plague builder rebind") {
			return fmt.Errorf("list_builders says %s", out)
		}
		return nil
	})
	b.kill()
	out, err := rebind("--json")
	var was struct {
		Farm string `json:"farm"`
		Term int    `json:"term"`
	}
	if err != nil || json.Unmarshal([]byte(out), &was) != nil || was.Farm != "elsewhere" || was.Term != 7 {
		t.Errorf("rebind: %v, %s", err, out)
	}
	b.start()
	f.until(f.submit(tinySRPM(t, "after", ":")), plague.JobNeedSign)
	b.kill()
	if out, err := rebind(); err != nil || !strings.Contains(out, "obeys farm") {
		t.Errorf("rebind: %v, %s", err, out)
	}
	if out, err := rebind(); err != nil || !strings.Contains(out, "no farm yet") {
		t.Errorf("rebind again: %v, %s", err, out)
	}
}
