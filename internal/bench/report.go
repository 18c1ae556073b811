package bench

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table writes figures for people.
func Table(w io.Writer, figures []Figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FIGURE\tMEASURED\tAIM\tPEERS\tNOTE")
	for _, f := range figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", f.What, f.measured(), f.Aim, f.Peers, f.Note)
	}
	return t.Flush()
}

// measured is a figure's values in one line: p50 12.3, p99 45.6 ms of 60.
func (f Figure) measured() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(f.Value)) {
		if name != "n" {
			parts = append(parts, strings.TrimSpace(name+" "+short(f.Value[name])))
		}
	}
	text := strings.Join(parts, ", ") + " " + f.Unit
	if n := f.Value["n"]; n > 0 {
		text += " of " + short(n)
	}
	return text
}

func short(v float64) string {
	if v >= 100 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
