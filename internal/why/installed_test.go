package why

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"plague/internal/durable"
)

// TestChanges: what is told of two lists as mock and Native write them, and of what
// somebody else wrote.
func TestChanges(t *testing.T) {
	d, err := durable.Open(t.TempDir(), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	many, more := "", []string{}
	for i := range 25 {
		many += fmt.Sprintf("p%02d-1-1.noarch\n", i)
		more = append(more, fmt.Sprintf("p%02d.noarch 1-1 is new", i))
	}
	for name, c := range map[string]struct {
		before, now string
		want        []string
	}{
		"the same":       {"bash-5-1.x86_64\n", "bash-5-1.x86_64\n", nil},
		"mock's":         {"bash-5-1.x86_64 1700000000 1200 abcd installed\n", "bash-5-1.x86_64\n", nil},
		"all there is":   {"a-1-1.noarch\nb-1-1.noarch\n", "b-2:1-1.noarch\nc-1-1.noarch\n", []string{"b.noarch 2:1-1 was 1-1", "c.noarch 1-1 is new", "a.noarch 1-1 is gone"}},
		"two arches":     {"z-1-1.x86_64\nz-1-1.i686\n", "z-1-1.x86_64\nz-2-1.i686\n", []string{"z.i686 2-1 was 1-1"}},
		"no list at all": {"\x1b[2J\n\n../../etc-1\n" + strings.Repeat("x", 100_000) + "\n", "a-1-1.noarch\n", []string{"a.noarch 1-1 is new"}},
		"too many":       {"", many, append(more[:20:20], "and 5 more")},
	} {
		t.Run(name, func(t *testing.T) {
			for dir, text := range map[string]string{"before": c.before, "now": c.now} {
				if err := d.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := d.WriteFile(dir+"/"+installedLog, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := changes(installed(d, "before"), installed(d, "now")); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if installed(d, "nowhere") != nil {
		t.Error("a list that is not there says something")
	}
}
