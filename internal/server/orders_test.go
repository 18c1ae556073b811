package server

import (
	"reflect"
	"slices"
	"testing"

	"plague"
	"plague/internal/store"
)

// Rule 2: run, stop or forget for each attempt that is held or reported.
func TestOrders(t *testing.T) {
	refused := says(3, 1, plague.PhaseDownloading)
	refused.Refused = "no slot"
	for _, tt := range []struct {
		name     string
		held     []store.HeldRow
		reported []plague.AttemptReport
		want     []plague.Order
	}{
		{"nothing", nil, nil, nil},
		{"assigned, not reported yet", []store.HeldRow{held(1, plague.ArchAssigned, "")}, nil,
			[]plague.Order{{AttemptID: id(1, 2), Verb: plague.VerbRun}}},
		{"its files are not here yet", []store.HeldRow{held(1, plague.ArchDownloading, "")}, []plague.AttemptReport{says(1, 2, plague.PhaseDone)},
			[]plague.Order{{AttemptID: id(1, 2), Verb: plague.VerbRun}}},
		{"killed, and it runs", nil, []plague.AttemptReport{says(1, 2, plague.PhaseBuilding)},
			[]plague.Order{{AttemptID: id(1, 2), Verb: plague.VerbStop}}},
		{"accepted, or stopped, and it has ended", nil, []plague.AttemptReport{says(1, 2, plague.PhaseDone), says(2, 1, plague.PhaseKilled), refused},
			[]plague.Order{{AttemptID: id(1, 2), Verb: plague.VerbForget}, {AttemptID: id(2, 1), Verb: plague.VerbForget}, {AttemptID: id(3, 1), Verb: plague.VerbForget}}},
		{"an attempt before the one that is held", []store.HeldRow{held(1, plague.ArchRunning, "")}, []plague.AttemptReport{says(1, 1, plague.PhaseBuilding), says(1, 2, plague.PhaseBuilding)},
			[]plague.Order{{AttemptID: id(1, 2), Verb: plague.VerbRun}, {AttemptID: id(1, 1), Verb: plague.VerbStop}}},
	} {
		got := orders(tt.held, tt.reported)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, not %+v", tt.name, got, tt.want)
		}
	}
}

// The same number with another token is another attempt: of a database that was
// restored from a backup.
func TestOrdersKnowTokens(t *testing.T) {
	foreign := says(1, 2, plague.PhaseBuilding)
	foreign.Token = "of another life"
	got := orders([]store.HeldRow{held(1, plague.ArchRunning, "")}, []plague.AttemptReport{foreign})
	verbs := []plague.Verb{}
	for _, o := range got {
		verbs = append(verbs, o.Verb)
	}
	if !slices.Equal(verbs, []plague.Verb{plague.VerbRun, plague.VerbStop}) {
		t.Errorf("orders %+v", got)
	}
}

func TestRootArch(t *testing.T) {
	for _, tt := range []struct {
		base, offered []string
		want          string
	}{
		{[]string{"x86_64", "aarch64"}, []string{"aarch64", "x86_64"}, "aarch64"},
		{[]string{"x86_64"}, []string{"aarch64", "x86_64"}, "x86_64"},
		{[]string{"x86_64"}, nil, "noarch"},
	} {
		if got := rootArch(tt.base, tt.offered); got != tt.want {
			t.Errorf("for %v on a builder of %v: %s", tt.base, tt.offered, got)
		}
	}
}

// An RPM lands where machines can install it.
func TestLandsIn(t *testing.T) {
	base := []string{"x86_64", "aarch64"}
	for arch, want := range map[string][]string{
		"noarch": base, "x86_64": {"x86_64"}, "aarch64": {"aarch64"}, "s390x": nil,
	} {
		if got := landsIn(arch, base); !slices.Equal(got, want) {
			t.Errorf("%s lands in %v, not %v", arch, got, want)
		}
	}
}

// A buildroot is made of the repositories of its own arch, which for a sub-arch is
// the one of its family; a noarch package goes where the spec allows it.
func TestWorkRoots(t *testing.T) {
	s := &Server{catalogue: newCatalogue([]plague.Target{{Distro: "lab", Target: "12", Repo: "extras", BaseArches: []string{"i386", "x86_64"}}})}
	offered := []string{"x86_64", "i686", "i386"}
	for _, tt := range []struct {
		job     plague.ArchJob
		root    string
		machine string
	}{
		{plague.ArchJob{Arch: "x86_64", Roots: []string{"x86_64"}}, "x86_64", "x86_64"},
		{plague.ArchJob{Arch: "i686", Roots: []string{"i386"}}, "i386", "i686"},
		{plague.ArchJob{Arch: "noarch", Roots: []string{"i386"}}, "i386", "i386"},
		{plague.ArchJob{Arch: "noarch", Roots: []string{"i386", "x86_64"}}, "x86_64", "x86_64"},
		{plague.ArchJob{Arch: "src", Kind: plague.KindSRPM, Roots: []string{"i386", "x86_64"}}, "x86_64", "x86_64"},
		{plague.ArchJob{Arch: "noarch"}, "x86_64", "x86_64"}, // queued by an older version
		{plague.ArchJob{Arch: "i586"}, "i386", "i586"},
	} {
		w := s.work(store.HeldRow{ArchJob: tt.job, JobRow: plague.Job{Target: "lab-12-extras", Pin: plague.Pin{Repos: []plague.BasePin{
			{ID: "lab", Arch: "i386", URL: "https://mirror/i386"}, {ID: "lab", Arch: "x86_64", URL: "https://mirror/x86_64"}}}}}, offered)
		if w.RootArch != tt.root || w.Machine() != tt.machine || len(w.Repos) != 1 || w.Repos[0].URL != "https://mirror/"+tt.root {
			t.Errorf("%+v is built in %s on a machine for %s from %+v", tt.job, w.RootArch, w.Machine(), w.Repos)
		}
	}
}
