package repo

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"plague/internal/durable"
)

const (
	target = "lab-12-extras"
	arch   = "x86_64"
)

var arches = []string{arch}

// rpmSpec makes count RPMs in one run of rpmbuild, p00-1-1.noarch.rpm and on.
const rpmSpec = `
Name: p
Version: 1
Release: 1
Summary: Packages to publish
License: GPL-2.0-or-later
BuildArch: noarch
%description
Packages to publish, of batch %{batch}.
%install
mkdir -p %{buildroot}/usr/share/p
`

const rpmCount = 60

// rpmFolder runs rpmbuild once per batch: the files of two batches have the same
// names and other contents.
var rpmFolder = [2]func() (string, error){
	sync.OnceValues(func() (string, error) { return buildRPMs("first") }),
	sync.OnceValues(func() (string, error) { return buildRPMs("second") }),
}

var scratch string // removed when the tests are over

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "plague-repo-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

func buildRPMs(batch string) (string, error) {
	dir := filepath.Join(scratch, batch)
	var text strings.Builder
	text.WriteString(rpmSpec)
	for i := range rpmCount {
		fmt.Fprintf(&text, "echo %%{batch} > %%{buildroot}/usr/share/p/%02d\n", i)
	}
	for i := range rpmCount {
		fmt.Fprintf(&text, "%%package -n p%02d\nSummary: Number %d\n%%description -n p%02d\n%%{batch}\n%%files -n p%02d\n/usr/share/p/%02d\n", i, i, i, i, i)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	spec := filepath.Join(dir, "p.spec")
	if err := os.WriteFile(spec, []byte(text.String()), 0o644); err != nil {
		return "", err
	}
	out, err := exec.Command("rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "batch "+batch,
		"--define", "_rpmdir "+dir, "--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", spec).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rpmbuild: %w: %s", err, out)
	}
	return dir, nil
}

// realRPM gives RPM number i of a batch as a package of a job.
func realRPM(t *testing.T, job int64, batch, i int) Package {
	t.Helper()
	dir, err := rpmFolder[batch]()
	if err != nil {
		t.Fatal(err)
	}
	return packageOf(t, job, filepath.Join(dir, fmt.Sprintf("p%02d-1-1.noarch.rpm", i)))
}

func packageOf(t *testing.T, job int64, file string) Package {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return Package{Job: job, Arch: "noarch", File: filepath.Base(file), Digest: sha256.Sum256(text), Path: file}
}

// plain gives a package for Plain: a file with this content in dir.
func plain(t *testing.T, dir string, job int64, name, content string) Package {
	t.Helper()
	file := filepath.Join(dir, content, name+"-1-1.noarch.rpm")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o444); err != nil && !os.IsPermission(err) {
		t.Fatal(err)
	}
	return packageOf(t, job, file)
}

func of(n, parent int64, ps ...Package) Snapshot {
	return Snapshot{Target: target, Number: n, Parent: parent, Arches: arches, Packages: map[string][]Package{arch: ps}}
}

func openTree(t *testing.T, dir string, m Metadata) *Tree {
	t.Helper()
	return hooked(t, dir, m, nil)
}

func hooked(t *testing.T, dir string, m Metadata, h durable.Hook) *Tree {
	t.Helper()
	d, err := durable.Open(dir, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if h != nil {
		d = d.WithHook(h)
	}
	tree, err := Open(d, m, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func publish(t *testing.T, tree *Tree, s Snapshot) {
	t.Helper()
	if err := tree.Build(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := tree.Point(t.Context(), s.Target, s.Arches, s.Number); err != nil {
		t.Fatal(err)
	}
}

func current(t *testing.T, tree *Tree) int64 {
	t.Helper()
	n, err := tree.Current(target, arch)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// seen reads dir ("@3", or "." for the stable address) as a client does and
// returns its number and packages; every package is there with its digest.
func seen(t *testing.T, tree *Tree, dir string) (int64, contents) {
	t.Helper()
	root := filepath.Join(tree.files.Path(reposDir, target, arch), dir)
	n, c, err := (&reader{get: func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(root, name)) }}).resolve()
	if err != nil {
		t.Fatalf("reading %s: %v", dir, err)
	}
	return n, c
}

func wantSeen(t *testing.T, tree *Tree, dir string, n int64, ps ...Package) {
	t.Helper()
	if gotN, got := seen(t, tree, dir); gotN != n || !maps.Equal(got, contentsOf(ps)) {
		t.Errorf("%s shows snapshot %d with %d packages, not %d with %d", dir, gotN, len(got), n, len(ps))
	}
}
