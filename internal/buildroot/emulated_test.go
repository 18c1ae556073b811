package buildroot_test

import (
	"strings"
	"testing"

	"plague"
	"plague/internal/buildroot"
)

// Without an emulator a build for another machine's arch ends before anything is
// fetched, and it is the farm that has to mend it.
func TestNoEmulator(t *testing.T) {
	f := newFarm(t)
	const arch = "s390x"
	if buildroot.Emulator(arch) == nil {
		t.Skip("this machine runs programs of " + arch)
	}
	s := f.spec(t, "tree")
	s.Arch = arch
	r := f.build(t.Context(), t, s)
	if r.Failure == nil || r.Failure.Kind != plague.FailureInfrastructure || !strings.Contains(r.Failure.Message, "programs of s390x do not run on this machine: no emulator") {
		t.Errorf("%v, %+v", r.err, r.Failure)
	}
	if said := r.root.String(); said != "" {
		t.Errorf("it went on: %s", said)
	}
}
