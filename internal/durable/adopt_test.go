package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"plague/internal/durable"
)

// TestAdopt: across disks too (/dev/shm is one of its own on every Linux).
func TestAdopt(t *testing.T) {
	d, err := durable.Open(t.TempDir(), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	far, err := os.MkdirTemp("/dev/shm", "adopt")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(far)
	for name, dir := range map[string]string{"near": t.TempDir(), "far": far} {
		source := filepath.Join(dir, "source")
		if err := os.WriteFile(source, []byte("text of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := d.Adopt(source, name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := d.ReadFile(name); err != nil || string(got) != "text of "+name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := d.Adopt(filepath.Join(far, "source"), "near"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := os.Symlink(far, d.Path("out")); err != nil {
		t.Fatal(err)
	}
	if err := d.Adopt(d.Path("near"), "out/escaped"); err == nil {
		t.Error("a link made outside of the folder")
	}
}

// A file that has as many names as it may have is copied.
func TestAdoptTheMostLinked(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.WriteFile(source, []byte("it"), 0o444); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := range 70_000 {
		if err = os.Link(source, filepath.Join(dir, strconv.Itoa(i))); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EMLINK) {
		t.Skipf("this file system allows more names than one can try: %v", err)
	}
	d := open(t)
	for range 2 {
		err := d.Adopt(source, "adopted")
		if got, rerr := d.ReadFile("adopted"); string(got) != "it" || err != nil && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%q, %v, %v", got, err, rerr)
		}
		info, serr := d.Stat("adopted")
		if serr != nil || info.Mode().Perm() != 0o444 {
			t.Errorf("%v, %v", info, serr)
		}
	}
}
