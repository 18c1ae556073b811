package buildroot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plague"
	"plague/internal/buildroot"
)

// A PATH without dnf is told with what to type, and so is a dnf that lacks its plugin,
// or does not run.
func TestMachineLacksDnf(t *testing.T) {
	seen, err := buildroot.Programs()
	if err != nil || len(seen) != 2 {
		t.Skipf("this machine builds nothing itself: %v", err)
	}
	n := &buildroot.Native{Work: t.TempDir()}
	if err := os.Chmod(n.Work, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := n.ProbeDnf(t.Context(), 0, 0); err != nil {
		t.Errorf("this machine's own dnf: %v", err)
	}
	if err := os.Chmod(filepath.Dir(n.Work), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := n.ProbeDnf(t.Context(), 65534, 65534); os.Geteuid() == 0 && err != nil {
		t.Errorf("the same as nobody: %v", err)
	}
	for script, want := range map[string]string{
		"exit 0": "",
		"echo 'No such command: builddep.'; exit 1":    "dnf-plugins-core",
		"echo 'ImportError: no module hawkey'; exit 1": "no module hawkey",
	} {
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "dnf"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin)
		if err := n.ProbeDnf(t.Context(), 0, 0); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", script, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err = buildroot.Programs()
	var r *plague.Refusal
	if !errors.As(err, &r) || !strings.Contains(r.Text, "no dnf on the PATH") || !strings.Contains(r.Hint, "install dnf") {
		t.Errorf("without dnf: %v", err)
	}
	if left, err := os.ReadDir(n.Work); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
