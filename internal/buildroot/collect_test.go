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

// The folder of results is the daemon's. What root writes there does not go where a
// link of its leads to.
func TestResultsAreNewFiles(t *testing.T) {
	out, foreign := t.TempDir(), filepath.Join(t.TempDir(), "passwd")
	for target, there := range map[string]string{foreign: "root", foreign + "-new": ""} {
		if there != "" {
			if err := os.WriteFile(target, []byte(there), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		name := filepath.Join(out, InstalledLog)
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
		if err := (&build{has: []string{"a-1-1.noarch.rpm"}}).tellInstalled(out); err == nil {
			t.Error("a link was taken for the file")
		}
		if got, _ := os.ReadFile(target); string(got) != there {
			t.Errorf("behind the link there is %q, want %q", got, there)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever is given a folder may at once put a link in the place of what is in it:
// nothing is given away through a folder that is not root's any more.
func TestGivesAwayFromTheBottom(t *testing.T) {
	foreign := t.TempDir()
	if err := os.MkdirAll(filepath.Join(foreign, "lib/rpm"), 0o755); err != nil {
		t.Fatal(err)
	}
	layer := t.TempDir()
	for name, text := range map[string]string{filepath.Join(layer, "var/lib/rpm/Packages"): "p", filepath.Join(foreign, "lib/rpm/Packages"): "theirs"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "ghost")
	var given []string
	_, err := tree{layer}.haunt(dir, "/var/lib/rpm", func(name string) error {
		given = append(given, name)
		if at, err := filepath.EvalSymlinks(name); err != nil || at != name {
			t.Errorf("%s is given away, which is %s by now, %v", name, at, err)
		}
		if name != dir {
			return nil
		}
		return errors.Join(os.Rename(filepath.Join(dir, "var"), filepath.Join(dir, "old")), os.Symlink(foreign, filepath.Join(dir, "var")))
	})
	if err != nil || len(given) != 5 {
		t.Errorf("given: %v, %v", given, err)
	}
}

// A pipe in the place of what the user of downloads has left holds nobody up.
func TestPinIsAFile(t *testing.T) {
	r := Repo{ID: "r", URL: "https://farm/r"}
	d := &dnf{cache: t.TempDir(), repos: []Repo{r}}
	dir := filepath.Join(d.cache, r.dnfID()+"-0123456789abcdef", "repodata")
	if err := errors.Join(os.MkdirAll(dir, 0o755), syscall.Mkfifo(filepath.Join(dir, "repomd.xml"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.repomd(r); err == nil {
		t.Error("a pipe was read")
	}
}
