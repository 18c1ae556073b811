package notify

import (
	"embed"
	"net/url"
	"path"
	"regexp"
	"strings"
	"text/template"
	"unicode"
)

//go:embed templates
var files embed.FS

func templates() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"line": oneLine}).ParseFS(files, "templates/*.txt")
}

// url is where the public web shows a path of the result tree.
func (n *Notifier) url(elem ...string) string {
	return n.URL + (&url.URL{Path: "/" + path.Join(elem...)}).EscapedPath()
}

// maxLine bounds a subject, and every value within a line, in runes.
const maxLine = 300

// oneLine makes one line of what somebody else wrote.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(readable(s)), " ")
	if r := []rune(s); len(r) > maxLine {
		s = string(r[:maxLine-1]) + "…"
	}
	return s
}

// readable leaves out what colours or moves the cursor of whoever reads, or
// turns the direction of the text around.
func readable(s string) string {
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
