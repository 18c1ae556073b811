package rpm_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build runs the real rpmbuild -ba on a spec and gives the RPM files by base
// name. A spec may name secret.tar as its source.
func build(t testing.TB, spec string, args ...string) map[string]string {
	t.Helper()
	top := t.TempDir()
	file := filepath.Join(top, "it.spec")
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(top, "SOURCES"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "SOURCES/secret.tar"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-ba", "--nodeps", "--define", "_topdir " + top}, append(args, file)...)
	run(t, top, "rpmbuild", args...)
	files := map[string]string{}
	for _, pattern := range []string{"SRPMS/*.rpm", "RPMS/*/*.rpm"} {
		paths, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			files[filepath.Base(path)] = path
		}
	}
	if len(files) == 0 {
		t.Fatal("rpmbuild wrote no RPM")
	}
	return files
}

// run gives the standard output of a command that must succeed, in a home of
// its own so that no macros or keys of the caller count.
func run(t testing.TB, home, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "GNUPGHOME="+home, "LC_ALL=C.UTF-8")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %.500q: %v\n%s", name, args, err, errs.String())
	}
	return out.String()
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// specFull has an epoch, subpackages, a noarch one, both kinds of requirement,
// and a payload that does not compress.
const specFull = `
Name: plague-try
Epoch: 3
Version: 1.2~rc1
Release: 4^git5
Summary: A package to try
Summary(de): Ein Paket zum Probieren
License: GPL-2.0-or-later AND MIT
Vendor: The Vendor
BuildRequires: /bin/sh, bash >= 1.0
BuildRequires: (sed or awk)
ExcludeArch: s390 s390x
Requires: other = 2:1.0-1
Requires(post): /bin/sh
Provides: virtual(plague) = 7

%description
Text.

%package devel
Summary: Its headers
Requires: %{name} = %{epoch}:%{version}-%{release}
%description devel
Text.

%package doc
Summary: Its pages
BuildArch: noarch
%description doc
Text.

%prep
%build
%install
mkdir -p %{buildroot}/opt/plague
head -c 60000 /dev/urandom > %{buildroot}/opt/plague/random
echo doc > %{buildroot}/opt/plague/doc
echo devel > %{buildroot}/opt/plague/devel
%post
echo installed
%files
/opt/plague/random
%files devel
/opt/plague/devel
%files doc
/opt/plague/doc
`

const specNoarch = `
Name: plague-noarch
Version: 0
Release: 0.1
Summary: Without arch
License: MIT
BuildArch: noarch
%description
Text.
%files
`

const specIX86 = `
Name: plague-ix86
Version: 1
Release: 1
Summary: For the family
License: MIT
ExclusiveArch: %{ix86}
%description
Text.
%files
`

// An item is one entry of a header that a test writes itself.
type item struct {
	tag, kind, count uint32
	data             string
}

func text(tag uint32, s string) item { return item{tag, 6, 1, s + "\x00"} }

func texts(tag uint32, list ...string) item {
	return item{tag, 8, uint32(len(list)), strings.Join(list, "\x00") + "\x00"}
}

func number(tag uint32, list ...uint32) item {
	var b []byte
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return item{tag, 4, uint32(len(list)), string(b)}
}

// section writes a header with its region, as rpm would.
func section(region uint32, items ...item) []byte {
	var index, data []byte
	entry := func(values ...uint32) {
		for _, v := range values {
			index = binary.BigEndian.AppendUint32(index, v)
		}
	}
	align := map[uint32]int{3: 2, 4: 4, 5: 8}
	for _, it := range items {
		for a := align[it.kind]; a > 0 && len(data)%a != 0; {
			data = append(data, 0)
		}
		entry(it.tag, it.kind, uint32(len(data)), it.count)
		data = append(data, it.data...)
	}
	body := index
	index = nil
	entry(region, 7, uint32(len(data)), 16)
	index = append(index, body...)
	for _, v := range []uint32{region, 7, uint32(-len(index)), 16} {
		data = binary.BigEndian.AppendUint32(data, v)
	}
	return append(intro(len(index)/16, len(data)), append(index, data...)...)
}

func intro(entries, size int) []byte {
	b := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(entries))
	return binary.BigEndian.AppendUint32(b, uint32(size))
}

func lead(source bool) []byte {
	b := make([]byte, 96)
	copy(b, "\xed\xab\xee\xdb\x03\x00")
	if source {
		b[7] = 1
	}
	b[79] = 5
	return b
}

// join puts an RPM file together: lead, signature header, padding, main header.
func join(lead, signature, main []byte) []byte {
	b := append(bytes.Clone(lead), signature...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return append(b, main...)
}

// mainAt is where the main header of a whole RPM file begins.
func mainAt(b []byte) int {
	end := 96 + 16 + 16*int(binary.BigEndian.Uint32(b[104:])) + int(binary.BigEndian.Uint32(b[108:]))
	return (end + 7) &^ 7
}

// source makes the source package only, as an i686 machine, because rpmbuild
// refuses even that where BuildArch does not fit the machine.
func source(t testing.TB, spec string) string {
	t.Helper()
	top := t.TempDir()
	file := filepath.Join(top, "it.spec")
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, top, "setarch", "i686", "rpmbuild", "-bs", "--define", "_topdir "+top, file)
	paths, err := filepath.Glob(filepath.Join(top, "SRPMS/*.rpm"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("rpmbuild -bs wrote %q: %v", paths, err)
	}
	return paths[0]
}

// accepts says whether rpmbuild builds a spec for an arch.
func accepts(t testing.TB, spec, arch string) bool {
	t.Helper()
	top := t.TempDir()
	file := filepath.Join(top, "it.spec")
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rpmbuild", "-bb", "--define", "_topdir "+top, "--target", arch, file)
	cmd.Env = append(os.Environ(), "HOME="+top)
	return cmd.Run() == nil
}
