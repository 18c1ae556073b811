package rpm

import (
	"fmt"
	"strings"

	"plague"
)

// A charset is what rpm allows in one part of a package's name (rpm's
// build/parsePreamble.c, ALLOWED_CHARS_*), and how long we let it be: rpm sets
// no limit, but file systems end at 255 bytes.
type charset struct {
	what  string
	extra string // legal beside ASCII letters and digits
	first string // legal at the beginning beside letters and digits
	max   int    // bytes
	hint  string
}

var (
	nameChars    = charset{"package name", "-._+", "_", 190, "names have letters, digits and - . _ +, and begin with a letter, a digit or _"}
	versionChars = charset{"version", "._+~^", "_+~^", 128, "versions have letters, digits and . _ + ~ ^"}
	releaseChars = charset{"release", "._+~^", "_+~^", 128, "releases have letters, digits and . _ + ~ ^"}
	archChars    = charset{"arch", "_", "", 30, "arches have letters, digits and _"}
)

// maxNVR leaves room for what is put around name-version-release in file names:
// ".arch.rpm" behind, a job's number before.
const maxNVR = 220

// ValidName says why a package name that a user typed cannot be one: a
// plague.ErrInvalid that shows the name and what is legal.
func ValidName(name string) error { return nameChars.check(name) }

// ValidArch does the same for an arch.
func ValidArch(arch string) error { return archChars.check(arch) }

// Valid says which part of the NEVRA rpm would not have allowed, or that all of
// it is too long for a file name: a plague.ErrInvalid.
func (n NEVRA) Valid() error {
	if err := nameChars.check(n.Name); err != nil {
		return err
	}
	if err := versionChars.check(n.Version); err != nil {
		return err
	}
	if err := releaseChars.check(n.Release); err != nil {
		return err
	}
	if err := archChars.check(n.Arch); err != nil {
		return err
	}
	if strings.HasSuffix(n.Release, ".") { // stricter than rpm: with ".arch" behind, the file name would have ".."
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the release %s ends with a dot", quote(n.Release)), "take the dot away")
	}
	if nvr := n.NVR(); len(nvr) > maxNVR {
		return plague.Refuse(plague.ErrInvalid,
			fmt.Sprintf("%s has %d bytes, more than %d", quote(nvr), len(nvr), maxNVR), "shorten the name or the release")
	}
	return nil
}

func (c charset) check(s string) error {
	if why := c.wrong(s); why != "" {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the %s %s %s", c.what, quote(s), why), c.hint)
	}
	return nil
}

func (c charset) wrong(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > c.max:
		return fmt.Sprintf("has %d bytes, more than %d", len(s), c.max)
	case strings.Contains(s, ".."):
		return `has ".."` // rpm refuses it too
	case !alphanumeric(s[0]) && strings.IndexByte(c.first, s[0]) < 0:
		return fmt.Sprintf("begins with %q", s[:1])
	}
	for i, r := range s {
		if r > 0x7f || !alphanumeric(s[i]) && strings.IndexByte(c.extra, s[i]) < 0 {
			return fmt.Sprintf("has %q", r)
		}
	}
	return ""
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// quote shows hostile text in an error: escaped, and not all of a long one.
func quote(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q…", s[:100])
	}
	return fmt.Sprintf("%q", s)
}
