package buildlog

import (
	"regexp"
	"strings"
	"unicode"
)

// maxLine bounds a subject, and every value within a line, in runes.
const maxLine = 300

// OneLine makes one line of what somebody else wrote.
func OneLine(s string) string {
	s = strings.Join(strings.Fields(Readable(s)), " ")
	if r := []rune(s); len(r) > maxLine {
		s = string(r[:maxLine-1]) + "…"
	}
	return s
}

// Readable leaves out what colours or moves the cursor of whoever reads, or
// turns the direction of the text around.
func Readable(s string) string {
	if strings.Contains(s, "\x1b[") {
		s = regexp.MustCompile(`\x1b\[[0-9;?]*[@-~]`).ReplaceAllString(s, "")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
