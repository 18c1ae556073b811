package buildlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"plague"
	"plague/internal/durable"
)

// Tail returns the last lines of a log, without their newlines: at most lines of
// them, from its last limit bytes. Mail takes 30 of 4096, as the original did. A line
// that begins before those bytes is left out, unless it is all there is.
func Tail(d *durable.Dir, name string, lines int, limit int64) ([]string, error) {
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("log %s: %w", name, plague.ErrNotFound)
	}
	if err != nil {
		return nil, unavailable("read log "+name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unavailable("read log "+name, err)
	}
	// One byte more tells whether the first line is whole.
	begin := info.Size() - limit - 1
	text, err := io.ReadAll(io.NewSectionReader(f, max(begin, 0), limit+1))
	if err != nil {
		return nil, unavailable("read log "+name, err)
	}
	return lastLines(string(text), begin >= 0, lines), nil
}

// lastLines takes a text that, if cut, begins with the byte before it.
func lastLines(text string, cut bool, lines int) []string {
	if cut {
		if _, rest, _ := strings.Cut(text, "\n"); rest != "" {
			text = rest
		} else {
			text = text[1:]
		}
	}
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(len(all)-lines, 0):]
}
