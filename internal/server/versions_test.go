package server

import (
	"strings"
	"testing"

	"plague"
)

// A builder that does not know the rule yet is refused by the server, which is too far
// ahead of it, or behind.
func TestForeignVersion(t *testing.T) {
	a := &attendant{s: &Server{Config: Config{Software: "1.3.0 0a1b2c"}, farm: "f"}, link: Link{Name: "b1"}, term: 1}
	for version, want := range map[string]string{
		"1.1.9":        "it is of version 1.1.9, the server of 1.3.0 0a1b2c: versions 1.3 and 1.1 are more than one minor version apart",
		"1.5.0":        "it is of version 1.5.0",
		"2.3.0":        "it is of version 2.3.0",
		"1.2.0 ffffff": "", "1.4.0": "", "": "", "devel": "",
	} {
		why := a.foreign(plague.Report{Builder: "b1", Farm: "f", Term: 1, Software: version})
		if (why == "") != (want == "") || !strings.HasPrefix(why, want) {
			t.Errorf("a builder of version %q: %q, want %q", version, why, want)
		}
	}
}
