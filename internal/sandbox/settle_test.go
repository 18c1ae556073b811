package sandbox

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSettle holds the order of the steps on plain files; the kernel's own answers were
// seen under systemd 252.
func TestSettle(t *testing.T) {
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	unit := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(unit, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(name, want string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(unit, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q (%v), want %q", name, got, err, want)
		}
	}
	put("cgroup.procs", "17\n")
	put("cgroup.subtree_control", "")
	if err := settle(unit, no); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(unit, subgroup)); err == nil {
		t.Error("a group was made where nothing is delegated")
	}
	for range 2 { // the second time over the group that builds have kept
		if err := settle(unit, yes); err != nil {
			t.Fatal(err)
		}
		holds(subgroup+"/cgroup.procs", "17")
		holds("cgroup.subtree_control", "+memory")
		if err := vacate(unit, yes); err != nil {
			t.Fatal(err)
		}
		holds("cgroup.subtree_control", "-memory")
	}
}
