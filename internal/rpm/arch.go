package rpm

import (
	"fmt"
	"slices"
	"strings"

	"plague"
)

// Noarch is the arch of an RPM that fits every machine, and of the arch job
// that makes only such.
const Noarch = "noarch"

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

// A Decision says of one arch that the target offers whether the package is
// built for it, and why.
type Decision struct {
	Arch string
	Kept bool
	Rule string // for people: the line of the spec or of the configuration that decided
}

// Arches chooses the arches of a package's arch jobs. base and optional are the
// target's; additional is what its administrator gives this package beyond
// them. Base and additional arches are built unless the spec is against them,
// optional ones only if the spec asks for them by name. A package that is
// noarch only is one arch job of that arch, if one of the target's machines may
// build it. No arch left is a plague.ErrInvalid that says which rule left none.
func Arches(base, optional, additional []string, h SourceArches) (arches []string, why []Decision, err error) {
	if h.NoarchOnly() {
		return h.noarchJob(base)
	}
	decide := func(offered []string, rule func(string) (string, bool)) {
		for _, arch := range offered {
			if slices.ContainsFunc(why, func(d Decision) bool { return d.Arch == arch && d.Kept }) {
				continue
			}
			text, kept := rule(arch)
			why = append(why, Decision{arch, kept, text})
			if kept {
				arches = append(arches, arch)
			}
		}
	}
	decide(base, func(arch string) (string, bool) { return h.keep(arch, "base arch of the target") })
	decide(optional, func(arch string) (string, bool) {
		if !slices.Contains(h.BuildArch, arch) && !slices.Contains(h.ExclusiveArch, arch) {
			return "optional arch that the package does not ask for", false
		}
		return h.keep(arch, "optional arch that the package asks for")
	})
	decide(additional, func(arch string) (string, bool) { return h.keep(arch, "additional arch of the package") })
	if len(arches) == 0 {
		return nil, why, h.none(slices.Concat(base, optional, additional))
	}
	return arches, why, nil
}

// keep applies the spec's three lines to an arch that is otherwise built for
// the reason given.
func (s SourceArches) keep(arch, reason string) (rule string, kept bool) {
	if len(s.BuildArch) > 0 && !slices.Contains(s.BuildArch, arch) {
		return "BuildArch does not list it", false
	}
	if arch == Noarch && len(s.BuildArch) == 0 && !slices.Contains(s.ExclusiveArch, Noarch) {
		return "the package is not noarch", false
	}
	if rule := s.machineRule(arch); rule != "" {
		return rule, false
	}
	return reason, true
}

func (s SourceArches) noarchJob(base []string) (arches []string, why []Decision, err error) {
	for _, arch := range base {
		if rule := s.machineRule(arch); arch != Noarch && rule != "" {
			why = append(why, Decision{arch, false, rule})
		}
	}
	machines := slices.DeleteFunc(slices.Clone(base), func(arch string) bool {
		return arch == Noarch || !s.AllowsMachine(arch)
	})
	if len(machines) == 0 {
		return nil, why, s.none(base)
	}
	rule := "BuildArch is noarch: one arch job for all, on " + strings.Join(machines, ", ")
	return []string{Noarch}, append(why, Decision{Noarch, true, rule}), nil
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
