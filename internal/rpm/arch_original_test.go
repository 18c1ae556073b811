package rpm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"plague"
	"plague/internal/rpm"
)

// TestArchesOfTheOriginal has a row for each sentence that is known of the build
// system of 2005 about arches, on source packages of the real rpmbuild. The target
// is its example: base_arches i386 x86_64 ppc, optional_arches i686 noarch.
func TestArchesOfTheOriginal(t *testing.T) {
	base, optional := []string{"i386", "x86_64", "ppc"}, []string{"i686", "noarch"}
	for _, c := range []struct {
		sentence   string
		spec       string
		base       []string // in place of the example's
		optional   []string
		additional []string
		want       string // arch jobs, each with its buildroots
	}{
		{sentence: "A package is built for the base arches of its target.",
			want: "i386(i386) x86_64(x86_64) ppc(ppc)"},
		{sentence: "They are filtered by the source package's BuildArch.",
			spec: "BuildArch: x86_64 i386", want: "i386(i386) x86_64(x86_64)"},
		{sentence: "ExclusiveArch counts.",
			spec: "ExclusiveArch: x86_64", want: "x86_64(x86_64)"},
		{sentence: "ExcludeArch counts.",
			spec: "ExcludeArch: ppc", want: "i386(i386) x86_64(x86_64)"},
		{sentence: "Sub-arches are built only if they are in the optional arches,",
			spec: "ExclusiveArch: i386 i686", optional: []string{"noarch"}, want: "i386(i386)"},
		{sentence: "and are asked for by the package.",
			spec: "ExclusiveArch: i386 i686", want: "i386(i386) i686(i386)"},
		{sentence: "%{ix86} would yield four or five x86 builds, and must not.",
			spec: "ExclusiveArch: %{ix86}", want: "i386(i386) i686(i386)"},
		{sentence: "Additional Package Arches are per package, on the server, out of the packager's hands.",
			additional: []string{"i586", "i686"}, want: "i386(i386) x86_64(x86_64) ppc(ppc) i586(i386) i686(i386)"},
		{sentence: "noarch stands in optional_arches in the example: such a package is built once, on a machine of any arch.",
			spec: "BuildArch: noarch", want: "noarch(i386|x86_64|ppc)"},
		{sentence: "ExcludeArch counts for the machines of noarch packages.",
			spec: "BuildArch: noarch\nExcludeArch: ppc", want: "noarch(i386|x86_64)"},
		{sentence: "A kernel has its documentation built for noarch beside its own arches.",
			spec: "ExclusiveArch: noarch %{ix86} x86_64", want: "i386(i386) x86_64(x86_64) i686(i386) noarch(i386|x86_64)"},
		{sentence: "You only need one target file for each major arch you support.",
			base: []string{"i386"}, optional: []string{"i486", "i586", "i686", "athlon"}, spec: "ExclusiveArch: i586 i686 athlon",
			want: "i586(i386) i686(i386) athlon(i386)"},
		{sentence: "You don't need separate 'ia32e' or 'amd64' config files, since these just use the normal 'x86_64' config file.",
			optional: []string{"ia32e", "amd64"}, spec: "ExclusiveArch: x86_64 ia32e amd64",
			want: "x86_64(x86_64) ia32e(x86_64) amd64(x86_64)"},
	} {
		if c.base == nil {
			c.base = base
		}
		if c.optional == nil {
			c.optional = optional
		}
		spec := fmt.Sprintf("Name: a\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\n%s\n%%description\nd\n%%files\n", c.spec)
		h, err := rpm.ReadHeader(bytes.NewReader(read(t, source(t, spec))))
		if err != nil {
			t.Fatal(err)
		}
		ds, err := rpm.Arches(c.base, c.optional, c.additional, h.Arches())
		if got := shown(ds); err != nil || got != c.want {
			t.Errorf("%s\n%s: %s (%v), want %s\n%s", c.sentence, c.spec, got, err, c.want, plague.DecisionsText(ds))
		}
	}
}

// shown writes arch jobs as arch(buildroot|buildroot).
func shown(ds []plague.Decision) string {
	var all []string
	for _, d := range ds {
		if d.Built {
			all = append(all, d.Arch+"("+strings.Join(d.Roots, "|")+")")
		}
	}
	return strings.Join(all, " ")
}
