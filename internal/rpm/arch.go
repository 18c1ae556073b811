package rpm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"plague"
)

// Noarch is the arch of an RPM that fits every machine, and of the arch job
// that makes only such.
const Noarch = plague.ArchNoarch

// Family is the arch that stands for a group whose members differ only in the
// processor they are tuned for, or in the name: i386 for i686, x86_64 for
// amd64 and ia32e. An arch in no group stands for itself. The groups are those
// of rpm's rpmrc.
func Family(arch string) string {
	switch arch {
	case "i486", "i586", "i686", "pentium3", "pentium4", "athlon", "geode":
		return "i386"
	case "amd64", "ia32e", "em64t", "x86_64_v2", "x86_64_v3", "x86_64_v4":
		return "x86_64"
	case "ppciseries", "ppcpseries", "ppc8260", "ppc8560", "ppc32dy4":
		return "ppc"
	case "ppc64iseries", "ppc64pseries", "ppc64p7":
		return "ppc64"
	case "sparcv8", "sparcv9", "sparcv9v":
		return "sparc"
	case "sparc64v":
		return "sparc64"
	case "alphaev5", "alphaev56", "alphapca56", "alphaev6", "alphaev67":
		return "alpha"
	case "armv5tel", "armv5tejl", "armv6l", "armv7l":
		return "arm"
	case "armv6hl", "armv7hl", "armv7hnl", "armv8hl":
		return "armhfp"
	}
	return arch
}

// SourceArches are the three lists by which a spec file chooses its arches.
// Names count literally, as rpmbuild --target takes them: ExclusiveArch: amd64
// is not x86_64, but %{ix86} holds i386, i486, i586, i686 and more.
type SourceArches struct {
	BuildArch     []string
	ExclusiveArch []string
	ExcludeArch   []string
}

// NoarchOnly says whether all that comes of the package is noarch.
func (s SourceArches) NoarchOnly() bool {
	other := func(arch string) bool { return arch != Noarch }
	return len(s.BuildArch) > 0 && !slices.ContainsFunc(s.BuildArch, other)
}

// AllowsMachine says whether rpmbuild on a machine of that arch takes the
// package up at all. It looks at the machine for noarch packages too, even
// where ExclusiveArch lists noarch.
func (s SourceArches) AllowsMachine(arch string) bool { return s.machineRule(arch) == "" }

// machineRule says which line of the spec is against an arch; empty: none.
func (s SourceArches) machineRule(arch string) string {
	switch {
	case len(s.ExclusiveArch) > 0 && !slices.Contains(s.ExclusiveArch, arch):
		return "ExclusiveArch does not list it"
	case slices.Contains(s.ExcludeArch, arch):
		return "ExcludeArch lists it"
	}
	return ""
}

// Arches chooses the arches of a package's arch jobs and says of each arch that is
// offered which rule decided. base and optional are the target's; additional is
// what its administrator gives this package beyond them. Base and additional arches
// are built unless the spec is against them, optional ones only if the spec asks for
// them by name. A package that is noarch only is one arch job of that arch, if one
// of the target's machines may build it. No arch left is a plague.ErrInvalid that
// says which rule left none.
func Arches(base, optional, additional []string, h SourceArches) ([]plague.Decision, error) {
	c := choice{SourceArches: h, base: base}
	if h.NoarchOnly() {
		c.noarchJob()
	} else {
		c.decide(base, func(string) string { return "" }, "base arch of the target")
		c.decide(optional, h.unasked, "optional arch that the package asks for")
		c.decide(additional, func(string) string { return "" }, "additional arch of the package")
	}
	if len(plague.BuiltArches(c.all)) == 0 {
		return c.all, h.none(slices.Concat(base, optional, additional))
	}
	return c.all, nil
}

// choice is the work of Arches: one decision for each arch.
type choice struct {
	SourceArches
	base []string
	all  []plague.Decision
}

// decide takes in arches that are offered for a reason. An arch that was dropped
// may be offered again for a better one.
func (c *choice) decide(offered []string, against func(arch string) string, reason string) {
	for _, arch := range offered {
		d := plague.Decision{Arch: arch, Roots: c.machines(arch)}
		d.Rule = cmp.Or(against(arch), c.rule(arch))
		if d.Rule == "" && len(d.Roots) == 0 {
			d.Rule = "no base arch of the target may build it, or is of its family"
		}
		if d.Rule == "" {
			d.Built, d.Rule = true, reason
		} else {
			d.Roots = nil
		}
		c.put(d)
	}
}

func (c *choice) put(d plague.Decision) {
	at := slices.IndexFunc(c.all, func(o plague.Decision) bool { return o.Arch == d.Arch })
	switch {
	case at < 0:
		c.all = append(c.all, d)
	case d.Built && !c.all[at].Built:
		c.all = append(slices.Delete(c.all, at, at+1), d)
	}
}

// machines lists the arches of the buildroots for an arch. For noarch rpmbuild holds the
// spec against its machine, whatever its target.
func (c *choice) machines(arch string) []string {
	roots := Roots(arch, c.base)
	if arch == Noarch {
		roots = slices.DeleteFunc(roots, func(a string) bool { return !c.AllowsMachine(a) })
	}
	return roots
}

// noarchJob is one arch job, on any of the machines that may build the package.
func (c *choice) noarchJob() {
	noarch := plague.Decision{Arch: Noarch}
	noarch.Roots = c.machines(Noarch)
	for _, arch := range Roots(Noarch, c.base) {
		if rule := c.machineRule(arch); rule != "" {
			c.put(plague.Decision{Arch: arch, Rule: rule})
		}
	}
	if noarch.Built = len(noarch.Roots) > 0; noarch.Built {
		noarch.Rule = "BuildArch is noarch: one arch job for all, on " + strings.Join(noarch.Roots, " or ")
		c.put(noarch)
	}
}

// unasked says that the spec does not name an arch.
func (s SourceArches) unasked(arch string) string {
	if slices.Contains(s.BuildArch, arch) || slices.Contains(s.ExclusiveArch, arch) {
		return ""
	}
	return "optional arch that the package does not ask for"
}

// rule says which line of the spec is against an arch; empty: none.
func (s SourceArches) rule(arch string) string {
	if len(s.BuildArch) > 0 && !slices.Contains(s.BuildArch, arch) {
		return "BuildArch does not list it"
	}
	if arch == Noarch && len(s.BuildArch) == 0 && !slices.Contains(s.ExclusiveArch, Noarch) {
		return "the package is not noarch"
	}
	return s.machineRule(arch)
}

// Roots lists the arches of the buildroots that an arch job for arch may run in:
// for noarch any base arch of the target, otherwise itself, or in its place the
// base arch of its family: i386 for i686, x86_64 for ia32e and amd64. None: the
// target has no repositories for it.
func Roots(arch string, base []string) []string {
	if arch == Noarch {
		return slices.DeleteFunc(slices.Clone(base), func(a string) bool { return a == Noarch })
	}
	if slices.Contains(base, arch) {
		return []string{arch}
	}
	for _, b := range base {
		if Family(b) == Family(arch) {
			return []string{b}
		}
	}
	return nil
}

// Is32 says whether an arch is of 32 bits: on a machine of twice the width its
// builds have to believe that it is none.
func Is32(arch string) bool {
	switch Family(arch) {
	case "i386", "ppc", "sparc", "s390", "arm", "armhfp", "mips", "mipsel":
		return true
	}
	return false
}

// none is the error for a package that the target can build nothing of. It
// names every line of the spec that has a say, with what it lists.
func (s SourceArches) none(offered []string) error {
	var lines []string
	for _, line := range []struct {
		name string
		list []string
	}{{"BuildArch", s.BuildArch}, {"ExclusiveArch", s.ExclusiveArch}, {"ExcludeArch", s.ExcludeArch}} {
		if len(line.list) > 0 {
			lines = append(lines, line.name+": "+strings.Join(line.list, " "))
		}
	}
	spec := strings.Join(lines, ", ")
	if spec == "" {
		spec = "no line about arches"
	}
	target := strings.Join(offered, " ")
	if target == "" {
		target = "none"
	}
	return plague.Refuse(plague.ErrInvalid,
		fmt.Sprintf("no arch is left to build for: the spec has %s, and the target's arches are %s", spec, target),
		"change the spec, or choose a target that has one of its arches")
}
