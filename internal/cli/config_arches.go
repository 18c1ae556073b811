package cli

import (
	"fmt"
	"slices"
	"strings"

	"plague"
	"plague/internal/rpm"
)

// readArches reads the section Arches of a target file.
func readArches(s *settings, t *plague.Target) error {
	t.BaseArches, t.OptionalArches = fields(s.text("base_arches", "")), fields(s.text("optional_arches", ""))
	if len(t.BaseArches) == 0 {
		return plague.Refuse(plague.ErrInvalid, s.file+": [Arches] base_arches names no arch", "for example base_arches = x86_64")
	}
	for i, arch := range t.BaseArches {
		switch err := rpm.ValidArch(arch); {
		case err != nil:
			return s.wrong("base_arches", "names no arch: "+err.Error())
		case plague.Anywhere(arch):
			return s.wrong("base_arches", fmt.Sprintf("has %s, which is no machine's: it belongs into optional_arches", arch))
		case slices.Contains(t.BaseArches[:i], arch):
			return s.wrong("base_arches", "names "+arch+" twice")
		}
	}
	return offered(s, "optional_arches", t.OptionalArches, t.BaseArches)
}

// offered refuses what could never be built: an arch without a repository.
func offered(s *settings, name string, arches, base []string) error {
	for _, arch := range arches {
		if err := rpm.ValidArch(arch); err != nil {
			return s.wrong(name, "names no arch: "+err.Error())
		}
		if len(rpm.Roots(arch, base)) == 0 {
			return s.wrong(name, fmt.Sprintf("has %s, and no base arch is of its family: base_arches = %s", arch, strings.Join(base, " ")))
		}
	}
	return nil
}
