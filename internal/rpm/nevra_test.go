package rpm_test

import (
	"errors"
	"strings"
	"testing"

	"plague"
	"plague/internal/rpm"
)

func TestNEVRATexts(t *testing.T) {
	n := rpm.NEVRA{Name: "tree-sitter", EVR: rpm.EVR{Epoch: 2, Version: "1.0~rc1", Release: "3.fc44"}, Arch: "x86_64"}
	for _, c := range []struct{ got, want string }{
		{n.String(), "tree-sitter-2:1.0~rc1-3.fc44.x86_64"},
		{n.NVR(), "tree-sitter-1.0~rc1-3.fc44"},
		{n.Filename(), "tree-sitter-1.0~rc1-3.fc44.x86_64.rpm"},
		{n.EVR.String(), "2:1.0~rc1-3.fc44"},
		{rpm.EVR{Version: "1"}.String(), "1"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	if back, err := rpm.ParseNEVRA(n.String()); err != nil || back != n {
		t.Errorf("ParseNEVRA(%s) is %v, %v", n, back, err)
	}
	n.Epoch = 0
	if back, err := rpm.ParseFilename(n.Filename()); err != nil || back != n {
		t.Errorf("ParseFilename(%s) is %v, %v", n.Filename(), back, err)
	}
}

func TestIllegalNames(t *testing.T) {
	for _, c := range []struct{ name, why string }{
		{"", "is empty"}, {".hidden", `begins with "."`}, {"-rf", `begins with "-"`}, {"a/b", "has '/'"}, {"a b", "has ' '"},
		{"a\nb", `has '\n'`}, {"a\x00", `has '\x00'`}, {"ä", `begins with`}, {"aä", "has 'ä'"}, {"a\xff", "has '\uFFFD'"},
		{"a..b", `has ".."`}, {"a:b", "has ':'"}, {"a~b", "has '~'"}, {"a%b", "has '%'"}, {`a\b`, `has '\\'`},
		{strings.Repeat("a", 191), "has 191 bytes, more than 190"}, {"+a", `begins with "+"`},
	} {
		err := rpm.ValidName(c.name)
		if !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: %v, want %s", c.name, err, c.why)
		}
	}
	for _, name := range []string{"a", "_x", "gtk+", "libstdc++-devel", "R", "3proxy", "perl-Test.x", strings.Repeat("a", 190)} {
		if err := rpm.ValidName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
}

// TestRPMAgreesOnCharacters holds the character sets against rpmbuild's own
// verdict: what we take, it takes, for every printable character.
func TestRPMAgreesOnCharacters(t *testing.T) {
	spec := func(name, version, release string) string {
		return "Name: " + name + "\nVersion: " + version + "\nRelease: " + release +
			"\nSummary: s\nLicense: l\nBuildArch: noarch\n%description\nd\n%files\n"
	}
	var name, verrel strings.Builder
	for c := rune('!'); c <= '~'; c++ {
		n := rpm.NEVRA{Name: "a" + string(c), EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
		if n.Valid() == nil {
			name.WriteRune(c)
		}
		v := rpm.NEVRA{Name: "a", EVR: rpm.EVR{Version: "1" + string(c), Release: "1" + string(c)}, Arch: "noarch"}
		if v.Valid() == nil {
			verrel.WriteRune(c)
		}
	}
	files := build(t, spec("a"+name.String(), "1"+verrel.String(), "1"+verrel.String()))
	want := "a" + name.String() + "-1" + verrel.String() + "-1" + verrel.String() + ".src.rpm"
	if files[want] == "" {
		t.Errorf("rpmbuild did not write %s", want)
	}
	checkFile(t, want, files[want])
}

func TestIllegalFilenames(t *testing.T) {
	for _, s := range []string{
		"", "a.rpm", "a-1.rpm", "a-1-1.rpm", "a-1-1.noarch", "../a-1-1.noarch.rpm", "a-1-1.noarch.rpm/", "a-1-1..rpm", "-1-1.noarch.rpm",
		"a--1.noarch.rpm", "a-1-.noarch.rpm", "a-2:1-1.noarch.rpm", "a-1-1.no arch.rpm", "/a-1-1.noarch.rpm", "a-.1-1.noarch.rpm", "a-1-1..noarch.rpm",
		strings.Repeat("a", 150) + "-" + strings.Repeat("1", 70) + "-1.noarch.rpm",
	} {
		if n, err := rpm.ParseFilename(s); !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%q was read as %v: %v", s, n, err)
		}
	}
	for _, s := range []string{"a-x:1-1.noarch", "a-:1-1.noarch", "a-2147483648:1-1.noarch", "a-1:2:3-1.noarch"} {
		if n, err := rpm.ParseNEVRA(s); !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%q was read as %v: %v", s, n, err)
		}
	}
}

func FuzzParseNEVRA(f *testing.F) {
	for _, s := range []string{"a-1-1.noarch", "a-b-3:1~rc-1^x.src", "a-1-1.noarch.rpm", "-.-:", "a-00:1-1.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := rpm.ParseNEVRA(s); err == nil {
			back, err := rpm.ParseNEVRA(n.String())
			if err != nil || back != n || n.Compare(back.EVR) != 0 {
				t.Errorf("%q: %#v is written %s and read as %#v: %v", s, n, n, back, err)
			}
			safe(t, n)
		}
		if n, err := rpm.ParseFilename(s); err == nil {
			if n.Filename() != s {
				t.Errorf("%q is written %s", s, n.Filename())
			}
			safe(t, n)
		}
	})
}

// safe fails when a NEVRA could lead out of a directory or be taken for an option.
func safe(t *testing.T, n rpm.NEVRA) {
	t.Helper()
	name := n.Filename()
	if len(name) > 255 || strings.ContainsAny(name, "/\\\x00 \n\t:") || strings.HasPrefix(name, ".") ||
		strings.HasPrefix(name, "-") || strings.Contains(name, "..") {
		t.Errorf("%q is no safe file name", name)
	}
}
