package plague_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"plague"
)

var update = flag.Bool("update", false, "write docs/states.md anew")

// TestStatesDrawing holds docs/states.md to the two tables, so that drawing
// and code cannot disagree.
func TestStatesDrawing(t *testing.T) {
	var b strings.Builder
	b.WriteString("# States\n\nDrawn from the tables in job.go and archjob.go by `go test . -run StatesDrawing -update`.\n")
	draw(&b, "A package job", plague.JobStates(), plague.JobState.Next)
	b.WriteString("\nA scratch job rests at `finished`. `needsign` is left by a signature only. Another run of the same job begins\n" +
		"at `waiting` when somebody requeues it from `failed` or `killed`.\n")
	draw(&b, "An arch job", plague.ArchStates(), plague.ArchState.Next)
	b.WriteString("\nBack to `queued` is an event, not a state: the builder was lost, the farm itself had trouble, or the build was\n" +
		"too large for that builder and a larger one gets it. The next attempt has the next number, and late reports on the\n" +
		"one before change nothing.\n")
	if *update {
		if err := os.WriteFile("docs/states.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/states.md differs from the tables: go test . -run StatesDrawing -update")
	}
}

func draw[S ~string](b *strings.Builder, title string, states []S, next func(S) []S) {
	fmt.Fprintf(b, "\n## %s\n\n| state | may become |\n|---|---|\n", title)
	for _, s := range states {
		after := "–"
		if n := next(s); len(n) > 0 {
			after = fmt.Sprint(n)
			after = "`" + strings.Join(strings.Fields(strings.Trim(after, "[]")), "` `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", s, after)
	}
}

// TestStatesReachable: every state but the first can be reached, and from
// every state an end can be.
func TestStatesReachable(t *testing.T) {
	check(t, plague.JobStates(), plague.JobState.Next)
	check(t, plague.ArchStates(), plague.ArchState.Next)
}

func check[S ~string](t *testing.T, states []S, next func(S) []S) {
	t.Helper()
	reach := func(from S) []S {
		seen := []S{from}
		for i := 0; i < len(seen); i++ {
			for _, n := range next(seen[i]) {
				if !slices.Contains(states, n) {
					t.Errorf("%s leads to %s, which is no state", seen[i], n)
				}
				if !slices.Contains(seen, n) {
					seen = append(seen, n)
				}
			}
		}
		return seen
	}
	if got := reach(states[0]); len(got) != len(states) {
		t.Errorf("from %s only %v can be reached", states[0], got)
	}
	for _, s := range states {
		if !slices.ContainsFunc(reach(s), func(e S) bool { return len(next(e)) == 0 }) {
			t.Errorf("%s has no way to an end", s)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"fedora-development-extras", "devel", "fc6", "fc5"}
	for word, want := range map[string]string{
		"devle": "devel", "fc7": "fc6", "fedora-devel-extras": "fedora-development-extras", "suse": "", "": "",
	} {
		if got := plague.Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
