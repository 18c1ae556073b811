package rpm_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"plague/internal/rpm"
)

// What Bytes writes is an RPM for rpm itself, and for the farm.
func TestBlank(t *testing.T) {
	evr := rpm.EVR{Epoch: 2, Version: "1.0", Release: "3"}
	for _, f := range []rpm.Blank{
		{NEVRA: rpm.NEVRA{Name: "tree", EVR: evr, Arch: "x86_64"}, BuildArch: []string{"noarch"}},
		{NEVRA: rpm.NEVRA{Name: "tree", EVR: evr, Arch: "noarch"}, SourceRPM: "tree-1.0-3.src.rpm", BuildHost: "attempt 1"},
		{NEVRA: rpm.NEVRA{Name: "libtree", EVR: evr, Arch: "aarch64"}, SourceRPM: "tree-1.0-3.src.rpm"},
	} {
		h, err := rpm.Verify(bytes.NewReader(f.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if h.IsSource() != (f.SourceRPM == "") || h.SourceRPM() != f.SourceRPM {
			t.Errorf("%s: source %v, built from %q", f.NEVRA, h.IsSource(), h.SourceRPM())
		}
		file := filepath.Join(t.TempDir(), "it.rpm")
		if err := os.WriteFile(file, f.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("rpm", "-qp", "--qf", "%{NAME} %{EPOCH}:%{VERSION}-%{RELEASE}", file).CombinedOutput()
		if want := f.Name + " " + "2:1.0-3"; err != nil || string(out) != want {
			t.Errorf("rpm -qp says %q (%v), not %q", out, err, want)
		}
		if out, err := exec.Command("rpm", "-Kv", "--nosignature", file).CombinedOutput(); err != nil {
			t.Errorf("rpm -K: %v\n%s", err, out)
		}
	}
}
