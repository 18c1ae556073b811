package buildroot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestCollect(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret-1-1.noarch.rpm")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(name string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte("rpm"), 0o644) }
	}
	rpms := func(dir string) error { return os.MkdirAll(filepath.Join(dir, "RPMS/noarch"), 0o755) }
	tests := []struct {
		name string
		make []func(dir string) error
		want []string
		says string // of a trouble of the package
	}{
		{"good", []func(string) error{rpms, file("RPMS/noarch/a-1-1.noarch.rpm"), file("RPMS/b-1-1.noarch.rpm"), file("RPMS/README")},
			[]string{"b-1-1.noarch.rpm", "a-1-1.noarch.rpm"}, ""},
		{"a source package", []func(string) error{rpms, file("RPMS/a-1-1.noarch.rpm"), file("RPMS/a-1-1.src.rpm")}, []string{"a-1-1.noarch.rpm"}, ""},
		{"nothing", nil, nil, "no folder"},
		{"empty", []func(string) error{rpms}, nil, "left no RPMs"},
		{"link to a file", []func(string) error{rpms, func(dir string) error { return os.Symlink(secret, filepath.Join(dir, "RPMS/secret-1-1.noarch.rpm")) }}, nil, "link"},
		{"link to a folder", []func(string) error{rpms, func(dir string) error { return os.Symlink(filepath.Dir(secret), filepath.Join(dir, "RPMS/x86_64")) }}, nil, "link"},
		{"the folder is a link", []func(string) error{func(dir string) error { return os.Symlink(filepath.Dir(secret), filepath.Join(dir, "RPMS")) }}, nil, "no folder"},
		{"pipe", []func(string) error{rpms, func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "RPMS/a-1-1.noarch.rpm"), 0o644) }}, nil, "no RPMs"},
		{"rubbish", []func(string) error{rpms, func(dir string) error {
			var err error
			for i := range 100 {
				err = errors.Join(err, os.Mkdir(fmt.Sprintf("%s/RPMS/%d", dir, i), 0o755))
			}
			return err
		}}, nil, "more than RPMs"},
		{"sparse giant", []func(string) error{rpms, file("RPMS/a-1-1.noarch.rpm"), func(dir string) error {
			return os.Truncate(filepath.Join(dir, "RPMS/a-1-1.noarch.rpm"), maxRPMBytes+1)
		}}, nil, "more RPMs than is allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			for _, step := range tt.make {
				if err := step(dir); err != nil {
					t.Fatal(err)
				}
			}
			names, err := collect(dir, "RPMS", out)
			slices.Sort(names)
			slices.Sort(tt.want)
			var trouble *trouble
			switch {
			case tt.says == "" && err != nil:
				t.Fatal(err)
			case tt.says != "" && (!errors.As(err, &trouble) || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("error is %v, want the package's trouble with %q", err, tt.says)
			case !slices.Equal(names, tt.want):
				t.Errorf("collected %q, want %q", names, tt.want)
			}
			for _, name := range names {
				if data, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(data) != "rpm" {
					t.Errorf("%s holds %q, %v", name, data, err)
				}
			}
		})
	}
}

// TestGhostOfAHostileLayer: rpm's database is read from what scriptlets left.
func TestGhostOfAHostileLayer(t *testing.T) {
	top, bottom, outside := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, files := range map[string][]string{outside: {"rpmdb.sqlite"}, bottom: {"var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/hidden", "var/lib/rpm/kept"}} {
		for _, f := range files {
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755), os.WriteFile(filepath.Join(dir, f), []byte(dir), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(top, "var/lib/rpm"), 0o755), os.Symlink("/etc/passwd", filepath.Join(top, "var/lib/rpm/hidden"))); err != nil {
		t.Fatal(err)
	}
	given := 0
	g, err := tree{top, bottom}.haunt(filepath.Join(t.TempDir(), "ghost"), "/var/lib/rpm", func(string) error { given++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(g.path, g.dbpath))
	if err != nil || len(entries) != 2 || entries[0].Name() != "kept" {
		t.Errorf("the ghost holds %v, %v", entries, err)
	}
	if want := 6; given != want { // the root, three folders, two files
		t.Errorf("%d files were given away, want %d", given, want)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(top, "var/lib/rpm")), os.Symlink(outside, filepath.Join(top, "var/lib/rpm"))); err != nil {
		t.Fatal(err)
	}
	if _, err := (tree{top, bottom}).haunt(filepath.Join(t.TempDir(), "ghost"), "/var/lib/rpm", func(string) error { return nil }); err == nil {
		t.Error("a link out of the layer was followed")
	}
}

func TestExplain(t *testing.T) {
	exit := exec.Command("false").Run()
	tests := []struct {
		said, want string
		packages   bool
	}{
		{"No matching package to install: 'a >= 1'\nNo matching package to install: 'b'\nNo matching package to install: 'b'\nError: Some", "nothing provides a >= 1, b", true},
		{"Error: \n Problem: conflicting requests\n  - nothing provides x needed by y-1-1.noarch from lab\n", "nothing provides x needed by y", true},
		{"Error: Failed to download metadata for repo 'lab'\nmore", "dnf: Failed to download metadata for repo 'lab'", false},
		{"[Errno 28] No space left on device", "run dnf", false},
	}
	for _, tt := range tests {
		err := explain(tt.said, exit)
		var trouble *trouble
		if errors.As(err, &trouble) != tt.packages || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("explain(%q) = %v", tt.said, err)
		}
	}
}
