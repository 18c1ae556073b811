package rpm_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"plague"
	"plague/internal/rpm"
)

func TestFamily(t *testing.T) {
	for family, members := range map[string]string{
		"i386":   "i386 i486 i586 i686 pentium3 pentium4 athlon geode",
		"x86_64": "x86_64 ia32e amd64 em64t x86_64_v3",
		"ppc":    "ppc ppciseries ppc8260", "ppc64": "ppc64 ppc64p7", "ppc64le": "ppc64le",
		"sparc": "sparc sparcv9", "sparc64": "sparc64 sparc64v", "alpha": "alphaev6", "arm": "armv5tel", "armhfp": "armv7hl",
		"aarch64": "aarch64", "s390": "s390", "s390x": "s390x", "ia64": "ia64", "riscv64": "riscv64", "noarch": "noarch", "src": "src",
	} {
		for _, arch := range strings.Fields(members) {
			if got := rpm.Family(arch); got != family {
				t.Errorf("the family of %s is %s, want %s", arch, got, family)
			}
		}
	}
}

// What %{ix86} expands to, by rpm 4.18.
const ix86 = "i386 i486 i586 i686 pentium3 pentium4 athlon geode"

func TestArches(t *testing.T) {
	for _, c := range []struct {
		what                              string
		base, optional, additional        string
		buildArch, exclusiveArch, exclude string
		want                              string // arches, or "!" and a part of the error
	}{
		{what: "nothing said", base: "i386 x86_64 ppc", optional: "i686 noarch", want: "i386 x86_64 ppc"},
		{what: "noarch", base: "i386 x86_64", optional: "noarch", buildArch: "noarch", want: "noarch"},
		{what: "noarch, not in the target", base: "i386 x86_64", additional: "i686", buildArch: "noarch", want: "noarch"},
		{what: "noarch on some machines", base: "i386 x86_64", buildArch: "noarch", exclusiveArch: "x86_64 noarch", want: "noarch"},
		{what: "noarch on no machine", base: "i386 x86_64", buildArch: "noarch", exclusiveArch: "ppc noarch",
			want: "!BuildArch: noarch, ExclusiveArch: ppc noarch, and the target's arches are i386 x86_64"},
		{what: "BuildArch filters", base: "i386 x86_64", buildArch: "x86_64", want: "x86_64"},
		{what: "BuildArch asks for an optional one", base: "i386 x86_64", optional: "i586 i686", buildArch: "i686", want: "i686"},
		{what: "BuildArch of two kinds", base: "i386 x86_64", buildArch: "noarch x86_64", want: "x86_64"},
		{what: "ExclusiveArch filters", base: "i386 x86_64 ppc", exclusiveArch: "ppc", want: "ppc"},
		{what: "%{ix86}, no optional arch", base: "i386 x86_64", exclusiveArch: ix86, want: "i386"},
		{what: "%{ix86}, one optional arch", base: "i386 x86_64", optional: "i686 noarch", exclusiveArch: ix86, want: "i386 i686"},
		{what: "documentation that no base arch may build", base: "i386 x86_64", optional: "i686 noarch", exclusiveArch: "noarch i686", want: "i686"},
		{what: "optional arches unasked", base: "i386", optional: "i586 i686", exclude: "ppc", want: "i386"},
		{what: "optional and excluded", base: "i386", optional: "i686", exclusiveArch: ix86, exclude: "i686", want: "i386"},
		{what: "a kernel's documentation", base: "i386 x86_64", optional: "i686 noarch", exclusiveArch: "noarch i686 x86_64",
			want: "x86_64 i686 noarch"},
		{what: "ExcludeArch", base: "i386 x86_64 ppc", exclude: "ppc ppc64", want: "i386 x86_64"},
		{what: "another name is another arch to rpmbuild", base: "x86_64", exclusiveArch: "amd64", want: "!ExclusiveArch: amd64"},
		{what: "additional", base: "i386 x86_64", additional: "i586 i686", want: "i386 x86_64 i586 i686"},
		{what: "additional, against the spec", base: "x86_64", additional: "i686", exclude: "i686", want: "x86_64"},
		{what: "additional again", base: "i386 x86_64", optional: "i686", additional: "x86_64 i686", exclusiveArch: "i686 x86_64",
			want: "x86_64 i686"},
		{what: "additional noarch of a package that is not", base: "x86_64", additional: "noarch", want: "x86_64"},
		{what: "optional unasked, yet additional", base: "i386 x86_64", optional: "i686", additional: "i686", want: "i386 x86_64 i686"},
		{what: "no repository of its family", base: "x86_64", optional: "i686", exclusiveArch: ix86 + " x86_64", additional: "ppc", want: "x86_64"},
		{what: "all excluded", base: "i386 x86_64", exclude: "i386 x86_64",
			want: "!ExcludeArch: i386 x86_64, and the target's arches are i386 x86_64"},
		{what: "none offered", want: "!no line about arches, and the target's arches are none"},
	} {
		source := rpm.SourceArches{
			BuildArch: strings.Fields(c.buildArch), ExclusiveArch: strings.Fields(c.exclusiveArch), ExcludeArch: strings.Fields(c.exclude),
		}
		base, optional, additional := strings.Fields(c.base), strings.Fields(c.optional), strings.Fields(c.additional)
		why, err := rpm.Arches(base, optional, additional, source)
		got := plague.BuiltArches(why)
		if part, failed := strings.CutPrefix(c.want, "!"); failed {
			if !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), part) || got != nil {
				t.Errorf("%s: %v, %v, want the error %s", c.what, got, err, part)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v, want %s (%v)", c.what, got, err, c.want, why)
		}
		seen := map[string]bool{}
		for _, d := range why {
			if d.Rule == "" || seen[d.Arch] || d.Built != (len(d.Roots) > 0) {
				t.Errorf("%s: the decision %+v", c.what, d)
			}
			seen[d.Arch] = true
		}
		if again := plague.DecisionsOf(plague.Event{To: strings.Join(got, " "), Text: plague.DecisionsText(why)}); len(again) != len(why) ||
			!slices.Equal(plague.BuiltArches(again), got) {
			t.Errorf("%s: the event says %+v of %+v", c.what, again, why)
		}
	}
}

func TestDecisionsNameTheirRule(t *testing.T) {
	why, err := rpm.Arches([]string{"i386", "x86_64", "ppc"}, []string{"i686", "noarch"}, []string{"i586"},
		rpm.SourceArches{ExclusiveArch: []string{"i386", "ppc", "i686"}, ExcludeArch: []string{"ppc"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []plague.Decision{
		{Arch: "i386", Built: true, Rule: "base arch of the target", Roots: []string{"i386"}},
		{Arch: "x86_64", Rule: "ExclusiveArch does not list it"},
		{Arch: "ppc", Rule: "ExcludeArch lists it"},
		{Arch: "i686", Built: true, Rule: "optional arch that the package asks for", Roots: []string{"i386"}},
		{Arch: "noarch", Rule: "optional arch that the package does not ask for"},
		{Arch: "i586", Rule: "ExclusiveArch does not list it"},
	}
	if !reflect.DeepEqual(why, want) {
		t.Errorf("got %v\nwant %v", why, want)
	}
}

func TestRoots(t *testing.T) {
	for _, c := range []struct{ arch, base, want string }{
		{"x86_64", "i386 x86_64", "x86_64"}, {"i686", "x86_64 i386", "i386"}, {"i686", "i386 i686", "i686"}, {"i386", "i686", "i686"},
		{"ia32e", "i386 x86_64", "x86_64"}, {"amd64", "x86_64", "x86_64"}, {"ppc8260", "ppc ppc64", "ppc"}, {"ppc64p7", "ppc ppc64", "ppc64"},
		{"i686", "x86_64", ""}, {"noarch", "i386 x86_64", "i386 x86_64"},
	} {
		if got := strings.Join(rpm.Roots(c.arch, strings.Fields(c.base)), " "); got != c.want {
			t.Errorf("%s of a target for %s is built in %q, want %q", c.arch, c.base, got, c.want)
		}
	}
}

// TestArchesAsRPMBuild holds the rules against rpmbuild: it builds for this
// machine's arch exactly when Arches, offered that arch, keeps one.
func TestArchesAsRPMBuild(t *testing.T) {
	machine := strings.TrimSpace(run(t, t.TempDir(), "rpm", "--eval", "%{_arch}"))
	if machine != "x86_64" {
		t.Skipf("the table is made for x86_64, and this is %s", machine)
	}
	for _, lines := range []string{
		"", "BuildArch: noarch", "BuildArch: i686", "ExclusiveArch: %{ix86}", "ExclusiveArch: amd64", "ExclusiveArch: %{ix86} x86_64",
		"ExcludeArch: x86_64", "ExcludeArch: amd64 ppc64", "ExclusiveArch: noarch x86_64", "ExclusiveArch: x86_64\nExcludeArch: x86_64",
		"BuildArch: noarch\nExclusiveArch: ppc64 noarch", "BuildArch: noarch\nExclusiveArch: x86_64",
		"BuildArch: noarch\nExcludeArch: x86_64", "BuildArch: noarch\nExcludeArch: ppc64",
	} {
		spec := fmt.Sprintf("Name: a\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\n%s\n%%description\nd\n%%files\n", lines)
		h, err := rpm.ReadHeader(bytes.NewReader(read(t, source(t, spec))))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := rpm.Arches([]string{machine}, nil, nil, h.Arches())
		if want := accepts(t, spec, machine); (len(plague.BuiltArches(got)) > 0) != want {
			t.Errorf("%q: Arches gives %v, rpmbuild takes it: %v", lines, got, want)
		}
	}
}
