package wire

import (
	"fmt"
	"strconv"
	"strings"

	"plague"
)

// release is the version that this program is of, major.minor.patch, as the spec file has
// it. The linker alone may set another: -ldflags '-X plague/internal/wire.release=1.0.1'.
var release = "1.0.0"

// Release is the version that this program is of: major.minor.patch.
func Release() string { return release }

// Apart says why a server and a builder of two versions do not work together: they are
// more than one minor version apart. What is no version, such as what a build without
// one says of itself, is taken for one that fits.
func Apart(one, other string) error {
	a, aok := minor(one)
	b, bok := minor(other)
	if !aok || !bok || a.major == b.major && max(a.minor, b.minor)-min(a.minor, b.minor) <= 1 {
		return nil
	}
	return plague.Refuse(plague.ErrConflict, fmt.Sprintf("versions %s and %s are more than one minor version apart", a, b),
		"upgrade the older one, through every minor version between them if builds are to run on")
}

type minorVersion struct{ major, minor int }

func (v minorVersion) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// minor reads the beginning of a version: what follows major and minor may be anything.
func minor(version string) (v minorVersion, ok bool) {
	words := strings.SplitN(version, ".", 3)
	if len(words) != 3 {
		return v, false
	}
	var errs [2]error
	v.major, errs[0] = strconv.Atoi(words[0])
	v.minor, errs[1] = strconv.Atoi(words[1])
	return v, errs[0] == nil && errs[1] == nil && v.major >= 0 && v.minor >= 0
}
