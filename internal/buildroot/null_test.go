package buildroot_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plague/internal/buildroot"
	"plague/internal/rpm"
)

// What the null buildroot makes fits its source package, so that the server
// takes it like any other result.
func TestNull(t *testing.T) {
	evr := rpm.EVR{Epoch: 1, Version: "2", Release: "3.el9"}
	for _, tt := range []struct {
		name      string
		buildArch []string
		want      []string
	}{
		{"tree", nil, []string{"tree-2-3.el9.x86_64.rpm"}},
		{"tree", []string{"noarch"}, []string{"tree-2-3.el9.noarch.rpm"}},
		{"tree-x2", nil, []string{"tree-x2-2-3.el9.x86_64.rpm", "tree-x2-1-2-3.el9.x86_64.rpm", "tree-x2-2-2-3.el9.x86_64.rpm"}},
	} {
		src := rpm.Blank{NEVRA: rpm.NEVRA{Name: tt.name, EVR: evr}, BuildArch: tt.buildArch}
		srpm, out := filepath.Join(t.TempDir(), "source.src.rpm"), t.TempDir()
		if err := os.WriteFile(srpm, src.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		var job bytes.Buffer
		var phases []string
		r, err := buildroot.Null{}.Build(t.Context(), buildroot.Spec{SRPM: srpm, Arch: "x86_64"}, buildroot.Log{Job: &job}, out,
			func(p string) { phases = append(phases, p) })
		if err != nil || r.Failure != nil || !slices.Equal(r.RPMs, tt.want) || len(phases) != 3 {
			t.Errorf("%s: %v, %+v, %q", tt.name, err, r, phases)
		}
		if !strings.HasPrefix(job.String(), buildroot.NullBegun) {
			t.Errorf("%s: its log is %q", tt.name, job.String())
		}
		for _, name := range r.RPMs {
			f, err := os.Open(filepath.Join(out, name))
			if err != nil {
				t.Fatal(err)
			}
			h, err := rpm.Verify(f)
			f.Close()
			if err != nil || h.NEVRA().Filename() != name || h.SourceRPM() != tt.name+"-2-3.el9.src.rpm" || h.NEVRA().EVR != evr {
				t.Errorf("%s: %v, %v", name, h, err)
			}
		}
	}
}
