package why

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"plague/internal/durable"
)

func lines(word string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s %d\n", word, i+1)
	}
	return b.String()
}

// TestLogRule: which logs a mail shows, by the rule of 2005.
func TestLogRule(t *testing.T) {
	for name, c := range map[string]struct {
		build, root, job string
		tail             []string // "word from to", or a line
		first            string
	}{
		"nothing":                    {},
		"build alone":                {build: lines("b", 40), root: lines("r", 3), tail: []string{"b 11 40"}},
		"ten are enough":             {build: lines("b", 10), root: lines("r", 3), tail: []string{"b 1 10"}},
		"few":                        {build: lines("b", 9), root: lines("r", 40), job: lines("j", 1), tail: []string{"b 1 9", separator(), "r 11 40"}},
		"few, and root says nothing": {build: lines("b", 2), job: lines("j", 3), tail: []string{"b 1 2", separator(), "j 1 3"}},
		"no build log":               {root: lines("r", 3) + "error: dependency\n", job: lines("j", 2), tail: []string{"r 1 3", "error: dependency", separator(), "j 1 2"}, first: "error: dependency"},
		"job alone":                  {job: lines("j", 2), tail: []string{"j 1 2"}},
		"4096 bytes":                 {build: lines(strings.Repeat("x", 500), 20), tail: []string{strings.Repeat("x", 500) + " 13 20", separator(), "r 1 1"}, root: lines("r", 1)},
		"error before the tail":      {build: "x.c:1: error: boom\n" + lines("b", 50), tail: []string{"b 21 50"}, first: "x.c:1: error: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := durable.Open(t.TempDir(), 0o755)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for log, text := range map[string]string{"build.log": c.build, "root.log": c.root, "job.log": c.job} {
				if text == "" {
					continue
				}
				if err := d.WriteFile(path.Join(log), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			for _, w := range c.tail {
				var word string
				var from, to int
				if n, err := fmt.Sscan(w, &word, &from, &to); n < 3 || err != nil {
					want = append(want, w)
					continue
				}
				for i := from; i <= to; i++ {
					want = append(want, fmt.Sprint(word, " ", i))
				}
			}
			first, tail := logsOf(d, ".")
			if strings.Join(tail, "\n") != strings.Join(want, "\n") || first != c.first {
				t.Errorf("first error %q, tail\n%s\nwant %q\n%s", first, strings.Join(tail, "\n"), c.first, strings.Join(want, "\n"))
			}
		})
	}
}
