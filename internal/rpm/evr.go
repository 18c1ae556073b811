package rpm

import (
	"strconv"

	version "github.com/knqyf263/go-rpm-version"
)

// An EVR is epoch, version and release: what decides which of two packages of
// one name is newer.
type EVR struct {
	Epoch   int // 0 and no epoch are the same
	Version string
	Release string // may be empty in dependencies, never in packages
}

// Compare gives -1, 0 or 1 as rpm does: epoch, then version, then release, with
// ~ before and ^ after what they follow. The fields must be legal (see NEVRA).
func (e EVR) Compare(o EVR) int {
	return version.NewVersion(e.full()).Compare(version.NewVersion(o.full()))
}

// String is epoch:version-release; an epoch of 0 and an empty release are left out.
func (e EVR) String() string {
	s := e.Version
	if e.Epoch != 0 {
		s = strconv.Itoa(e.Epoch) + ":" + s
	}
	if e.Release != "" {
		s += "-" + e.Release
	}
	return s
}

func (e EVR) full() string { return strconv.Itoa(e.Epoch) + ":" + e.Version + "-" + e.Release }
