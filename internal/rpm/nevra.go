package rpm

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"plague"
)

// A NEVRA names one RPM: tree-1:2.1.0-1.x86_64. Its parts are legal (see
// Valid) wherever this package returned one.
type NEVRA struct {
	Name string
	EVR
	Arch string // of the RPM; src or nosrc for a source package
}

// String is name-epoch:version-release.arch; an epoch of 0 is left out.
func (n NEVRA) String() string { return n.Name + "-" + n.EVR.String() + "." + n.Arch }

// NVR is name-version-release, which has no epoch.
func (n NEVRA) NVR() string { return n.Name + "-" + n.Version + "-" + n.Release }

// Filename is what rpmbuild calls the file: name-version-release.arch.rpm.
func (n NEVRA) Filename() string { return n.NVR() + "." + n.Arch + ".rpm" }

// IsSource says whether the arch is one of a source package.
func (n NEVRA) IsSource() bool { return n.Arch == "src" || n.Arch == "nosrc" }

// ParseNEVRA reads what String writes. The error is a plague.ErrInvalid.
func ParseNEVRA(s string) (NEVRA, error) {
	n, ok := split(s)
	if !ok {
		return NEVRA{}, plague.Refuse(plague.ErrInvalid,
			fmt.Sprintf("%s is no name of an RPM", quote(s)), "write name-[epoch:]version-release.arch")
	}
	if epoch, version, found := strings.Cut(n.Version, ":"); found {
		e, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil || e > math.MaxInt32 {
			return NEVRA{}, plague.Refuse(plague.ErrInvalid,
				fmt.Sprintf("the epoch %s of %s is no number below 2147483648", quote(epoch), quote(s)), "")
		}
		n.Epoch, n.Version = int(e), version
	}
	if err := n.Valid(); err != nil {
		return NEVRA{}, err
	}
	return n, nil
}

// ParseFilename reads what Filename writes: a base name, which says nothing of
// the epoch. The error is a plague.ErrInvalid.
func ParseFilename(s string) (NEVRA, error) {
	base, suffixed := strings.CutSuffix(s, ".rpm")
	n, ok := split(base)
	if !suffixed || !ok {
		return NEVRA{}, plague.Refuse(plague.ErrInvalid,
			fmt.Sprintf("%s is no file name of an RPM", quote(s)), "RPM files are called name-version-release.arch.rpm")
	}
	if err := n.Valid(); err != nil {
		return NEVRA{}, err
	}
	return n, nil
}

// split cuts from the right, because only the name may hold a hyphen.
func split(s string) (NEVRA, bool) {
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 {
		return NEVRA{}, false
	}
	release := strings.LastIndexByte(s[:dot], '-')
	if release < 0 {
		return NEVRA{}, false
	}
	version := strings.LastIndexByte(s[:release], '-')
	if version < 0 {
		return NEVRA{}, false
	}
	return NEVRA{
		Name: s[:version],
		EVR:  EVR{Version: s[version+1 : release], Release: s[release+1 : dot]},
		Arch: s[dot+1:],
	}, true
}
