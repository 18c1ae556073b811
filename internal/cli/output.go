package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"plague/internal/xmlrpc"

	"golang.org/x/term"
)

// screen is where a command shows its results. Only a terminal has a width and
// colours.
type screen struct {
	io.Writer
	width  int // columns; 0: no terminal
	colour bool
}

func newScreen(w io.Writer) screen {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return screen{Writer: w}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return screen{Writer: w, width: width, colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s screen) terminal() bool { return s.width > 0 }

// stateColours are the SGR codes of the states that matter to whoever looks.
func stateColours() map[string]string {
	const green, red, yellow, blue, grey = "32", "31", "33", "34", "90"
	return map[string]string{
		"needsign": green, "released": green, "repodone": green, "done": green, "finished": green, "alive": green,
		"failed": red, "suspended": red, "away": red, "killed": yellow, "building": blue, "running": blue, "waiting": grey, "queued": grey,
	}
}

// state paints a state's name; text is what to show for it.
func (s screen) state(name, text string) string {
	code := stateColours()[name]
	if !s.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// cell is one field of a table; state is set where it may be painted.
type cell struct{ text, state string }

// table shows rows in aligned columns. A terminal cuts lines at its edge.
func (s screen) table(head []string, rows [][]cell) {
	first := make([]cell, len(head))
	for i, h := range head {
		first[i].text = h
	}
	rows = append([][]cell{first}, rows...)
	width := make([]int, len(head))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, r := range rows {
		left := s.width
		for i, c := range r {
			text := s.fit(c.text, &left)
			gap := ""
			if i < len(r)-1 {
				gap = s.fit(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2), &left)
			}
			fmt.Fprint(s, s.state(c.state, text), gap)
		}
		fmt.Fprintln(s)
	}
}

// fit cuts text to the columns that are left of a terminal's line.
func (s screen) fit(text string, left *int) string {
	runes := []rune(text)
	if s.terminal() && len(runes) > *left {
		runes = runes[:*left]
	}
	*left -= len(runes)
	return string(runes)
}

// printable replaces what would make a terminal do something: text from the
// server may be a package's own.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return '\ufffd'
		}
		return r
	}, text)
}

// oneLine is printable text in which one line cannot pose as two.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, printable(text))
}

// printJSON shows a value of the protocol under the protocol's names.
func printJSON(w io.Writer, v any) error { return encodeJSON(w, v, "  ") }

// printJSONLine does so in one line.
func printJSONLine(w io.Writer, v any) error { return encodeJSON(w, v, "") }

func encodeJSON(w io.Writer, v any, indent string) error {
	plain, err := xmlrpc.Marshal(v)
	if err != nil {
		return fmt.Errorf("show as JSON: %w", err)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(plain)
}

// when shows a time of the protocol, unix seconds, in the user's own zone.
func when(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).Format("2006-01-02 15:04:05")
}
