package plague

import (
	"slices"
	"strings"
)

// A Decision says of one arch that a target offers whether a package is built
// for it, and which rule decided.
type Decision struct {
	Arch  string
	Built bool
	Rule  string   // for people: the line of the spec or of the configuration that decided
	Roots []string // with Built: the arches of the buildroots that will do; several for noarch only
}

// BuiltArches lists the arches of the arch jobs that follow from decisions.
func BuiltArches(ds []Decision) (arches []string) {
	for _, d := range ds {
		if d.Built {
			arches = append(arches, d.Arch)
		}
	}
	return arches
}

// between parts two decisions in an event. No rule has it.
const between = "; "

// DecisionsText is what the event arches says of decisions: "i686: ExcludeArch
// lists it" and so on, of the arches that were dropped, too.
func DecisionsText(ds []Decision) string {
	all := make([]string, len(ds))
	for i, d := range ds {
		all[i] = d.Arch + ": " + d.Rule
	}
	return strings.Join(all, between)
}

// DecisionsOf reads decisions back out of an event arches, which names those that
// are built as its state after. Roots are not in it.
func DecisionsOf(e Event) (ds []Decision) {
	built := strings.Fields(e.To)
	for text := range strings.SplitSeq(e.Text, between) {
		if arch, rule, ok := strings.Cut(text, ": "); ok {
			ds = append(ds, Decision{Arch: arch, Rule: rule, Built: slices.Contains(built, arch)})
		}
	}
	return ds
}
