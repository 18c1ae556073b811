package rpm

import (
	"strings"
	"unicode"
)

// SameRelease says whether an RPM whose release is got may come of a source
// package whose release is asked. They are the same but for the dist suffix
// (%{?dist}), which the target gives when it builds, and whoever made the
// source package gave before: 1 and 1.lab12, 1.fc38 and 1.fc40.
func SameRelease(asked, got string) bool {
	return asked == got || withoutDist(asked) == withoutDist(got)
}

// withoutDist cuts the last part of a release if it looks like a dist suffix:
// letters, then perhaps a number, after a dot, such as .fc40 or .el9_4.
func withoutDist(release string) string {
	at := strings.LastIndexByte(release, '.')
	if at <= 0 || at+1 == len(release) || !unicode.IsLetter(rune(release[at+1])) {
		return release
	}
	return release[:at]
}
