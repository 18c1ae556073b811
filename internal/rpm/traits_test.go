package rpm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"plague/internal/rpm"
)

// specTraits has a noarch subpackage with a bit of everything.
const specTraits = `
Name: a
Version: 1
Release: 1
Summary: s
License: MIT
%description
Text.
%package doc
Summary: Its pages
BuildArch: noarch
Requires: reader >= 2
Recommends: printer
%description doc
Text.
%install
mkdir -p %{buildroot}/opt/a
echo page > %{buildroot}/opt/a/page
ln -s page %{buildroot}/opt/a/first
%post doc
echo installed
%files doc
/opt/a
`

// TestTraits compares noarch packages of the real rpmbuild as the farm does those
// that the arches of one job have made.
func TestTraits(t *testing.T) {
	doc := func(host, spec string) []string {
		h, err := rpm.ReadHeader(bytes.NewReader(read(t, build(t, spec, "--define", "_buildhost "+host)["a-doc-1-1.noarch.rpm"])))
		if err != nil {
			t.Fatal(err)
		}
		traits, err := h.Traits()
		if err != nil {
			t.Fatal(err)
		}
		return traits
	}
	first := doc("one", specTraits)
	for _, want := range []string{"requires reader >= 2", "recommends printer", "provides a-doc = 1-1", "file /opt/a 040755 root:root",
		"file /opt/a/page 100644 root:root", "file /opt/a/first 120777 root:root -> page", "%post echo installed", "interpreter of %post /bin/sh",
		"summary Its pages", "license MIT", "description Text."} {
		if !strings.Contains("\n"+strings.Join(first, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("no %q among\n%s", want, strings.Join(first, "\n"))
		}
	}
	for _, c := range []struct{ what, old, new, want string }{
		{"nothing, elsewhere and later", "", "", ""},
		{"what is in a file", "echo page", "date", ""},
		{"requirement", "reader >= 2", "reader >= 3", "only for x: requires reader >= 2; only for y: requires reader >= 3"},
		{"weak requirement", "Recommends: printer\n", "", "only for x: recommends printer"},
		{"file", "%post doc\n", "touch %{buildroot}/opt/a/more\n%post doc\n", "only for y: file /opt/a/more 100644 root:root"},
		{"mode", "%post doc\n", "chmod 600 %{buildroot}/opt/a/page\n%post doc\n",
			"only for x: file /opt/a/page 100644 root:root; only for y: file /opt/a/page 100600 root:root"},
		{"owner", "%files doc\n/opt/a\n", "%files doc\n%attr(-,bin,-) /opt/a\n", "only for y: file /opt/a 040755 bin:root"},
		{"flags", "%files doc\n", "%files doc\n%config /opt/a/page\n", "only for y: file /opt/a/page 100644 root:root flags 1"},
		{"link", "ln -s page", "ln -s ../a/page", "only for y: file /opt/a/first 120777 root:root -> ../a/page"},
		{"script", "echo installed", "echo put", "only for x: %post echo installed; only for y: %post echo put"},
		{"interpreter", "%post doc", "%post doc -p /bin/bash", "only for y: interpreter of %post /bin/bash"},
		{"long text", "%description doc\nText.", "%description doc\nLong.\n" + strings.Repeat("text ", 99), "only for y: description of 500 bytes ("},
		{"much", "%post doc\n", "(cd %{buildroot}/opt/a; touch 1 2 3 4 5 6 7)\n%post doc\n", "and 2 more"},
	} {
		t.Run(c.what, func(t *testing.T) {
			second := doc("two", strings.Replace(specTraits, c.old, c.new, 1))
			got := rpm.Differences(first, second, "x", "y")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("they differ in %q, want %q", got, c.want)
			}
			if alike := rpm.Likeness(first) == rpm.Likeness(second); alike != (c.want == "") {
				t.Errorf("they are alike: %v", alike)
			}
		})
	}
}

// Lists that do not fit together, and names that would fill the memory, are refused.
func TestTraitsOfHostileFiles(t *testing.T) {
	shorts := func(tag uint32, n int) item { return item{tag, 3, uint32(n), strings.Repeat("\x81\xa4", n)} }
	// n files in a folder with a name of some bytes
	files := func(n, name int, last uint32) []item {
		many := strings.Split(strings.Repeat("r,", n-1)+"r", ",")
		at := make([]uint32, n)
		at[n-1] = last
		return []item{texts(1117, many...), texts(1118, "/"+strings.Repeat("d", name)), number(1116, at...), shorts(1030, n), shorts(1033, n),
			texts(1036, many...), number(1037, make([]uint32, n)...), texts(1039, many...), texts(1040, many...)}
	}
	for _, c := range []struct {
		what  string
		items []item
		want  string
	}{
		{"files", files(2, 3, 0), ""},
		{"no such folder", files(2, 3, 1), "a file in folder 1"},
		{"one owner too few", append(files(2, 3, 0), texts(1039, "root")), "and 1 of something"},
		{"modes of 32 bits", append(files(2, 3, 0), number(1030, 1, 2)), "tag 1030 with the wrong type"},
		{"a relation of two lengths", []item{texts(1054, "a", "b"), number(1053, 0), texts(1055, "", "")}, "1 items in tag 1053"},
		{"64 MiB of names", files(1000, 70_000, 0), "bytes of file names"},
	} {
		h, err := rpm.ReadHeader(bytes.NewReader(join(lead(false), section(62), with(c.items...))))
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		_, err = h.Traits()
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, rpm.ErrNotRPM) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}
