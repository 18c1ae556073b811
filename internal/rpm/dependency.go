package rpm

import "strings"

// A Dependency is one line of Requires or Provides.
type Dependency struct {
	Name  string // a capability: a package, a file, lib.so()(64bit), or (a or b)
	Flags string // "", <, <=, =, >= or >
	EVR   string // as in the header; empty without Flags
	Sense uint32 // all of rpm's flags (RPMSENSE_*), such as pre or post
}

// Bits of Sense, from rpm's rpmds.h.
const (
	senseLess    = 1 << 1
	senseGreater = 1 << 2
	senseEqual   = 1 << 3
	senseRPMLib  = 1 << 24
)

// RPMLib says whether rpm itself has to provide it: no package does.
func (d Dependency) RPMLib() bool {
	return d.Sense&senseRPMLib != 0 || strings.HasPrefix(d.Name, "rpmlib(")
}

// String is what stands in a spec file, and what dnf understands.
func (d Dependency) String() string {
	if d.Flags == "" {
		return d.Name
	}
	return d.Name + " " + d.Flags + " " + d.EVR
}

// A triple is the three parallel tags that hold one kind of dependency.
type triple struct{ name, flags, evr uint32 }

var (
	requires = triple{tagRequireName, tagRequireFlags, tagRequireVersion}
	provides = triple{tagProvideName, tagProvideFlags, tagProvideVersion}
)

// checkDependencies refuses lists that differ in length: rpm and we would
// disagree about what belongs together.
func (s *section) checkDependencies(t triple) error {
	name, _ := s.find(t.name)
	for _, tag := range []uint32{t.flags, t.evr} {
		if e, _ := s.find(tag); e.count != name.count {
			return damaged("the %s has %d names in tag %d and %d items in tag %d", s.what, name.count, t.name, e.count, tag)
		}
	}
	return nil
}

func (s *section) dependencies(t triple) []Dependency {
	names, flags, evrs := s.texts(t.name), s.numbers(t.flags), s.texts(t.evr)
	list := make([]Dependency, len(names))
	for i := range list {
		sense := uint32(flags[i])
		list[i] = Dependency{Name: names[i], Flags: relation(sense), EVR: evrs[i], Sense: sense}
	}
	return list
}

func relation(sense uint32) string {
	s := ""
	if sense&senseLess != 0 {
		s += "<"
	}
	if sense&senseGreater != 0 {
		s += ">"
	}
	if sense&senseEqual != 0 {
		s += "="
	}
	return s
}
