package sandbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"plague"
	"plague/internal/sandbox"
)

func TestProbe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes sandboxes")
	}
	dir := t.TempDir()
	took, err := sandbox.Probe(t.Context(), dir, slot)
	if err != nil || took <= 0 {
		t.Errorf("it took %s, %v", took, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if _, err := sandbox.Probe(t.Context(), filepath.Join(dir, "nowhere"), slot); err == nil || !strings.Contains(err.Error(), "has no folder") {
		t.Errorf("without a folder: %v", err)
	}
}

// A file system that overlayfs cannot write to is named, with the remedy.
func TestProbeNamesTheFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes sandboxes")
	}
	dir := overlaid(t)
	_, err := sandbox.Probe(t.Context(), dir, slot)
	var r *plague.Refusal
	if !errors.As(err, &r) || !strings.Contains(r.Text, "mount overlay") || !strings.Contains(r.Hint, "not on overlayfs") {
		t.Errorf("on overlayfs: %v", err)
	}
}

// overlaid is a folder on overlayfs, on which no other overlay can be written.
func overlaid(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := unix.Mount("overlay", at("merged"), "overlay", 0, "lowerdir="+at("lower")+",upperdir="+at("upper")+",workdir="+at("work"))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at("merged"), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at("merged")
}
