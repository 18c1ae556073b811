package buildroot

import (
	"strings"
	"testing"

	"plague"
)

// The states of today's mock come from a real run; those of the older ones are the
// words that the original's builder knew.
func TestMockState(t *testing.T) {
	const today = `2026-11-23 16:10:00,001 - Start: run
2026-11-23 16:10:00,002 - Start: clean chroot
2026-11-23 16:10:00,003 - Finish: clean chroot
2026-11-23 16:10:00,004 - Start(bootstrap): chroot init
2026-11-23 16:10:00,005 - Finish(bootstrap): chroot init
2026-11-23 16:10:00,006 - Start: chroot init
2026-11-23 16:10:02,000 - Start: creating root cache
2026-11-23 16:10:03,000 - Finish: creating root cache
2026-11-23 16:10:03,001 - Finish: chroot init
2026-11-23 16:10:03,002 - Start: build phase for tree-2.1.0-1.src.rpm
2026-11-23 16:10:03,003 - Start: build setup for tree-2.1.0-1.src.rpm
2026-11-23 16:10:03,500 - Finish: build setup for tree-2.1.0-1.src.rpm
2026-11-23 16:10:03,501 - Start: rpmbuild tree-2.1.0-1.src.rpm
2026-11-23 16:10:04,000 - Finish: rpmbuild tree-2.1.0-1.src.rpm
2026-11-23 16:10:04,001 - Finish: build phase for tree-2.1.0-1.src.rpm
2026-11-23 16:10:04,002 - Start: clean chroot
`
	upTo := func(text, last string) string { return text[:strings.Index(text, last)+len(last)] }
	for _, tt := range []struct {
		name, text string
		want       mockProgress
	}{
		{"nothing", "", mockProgress{}},
		{"rubbish", "Mock Version: 6.3\n\x00\xff: State: \n", mockProgress{}},
		{"today: cleans before", upTo(today, "Finish: clean chroot"), mockProgress{phase: plague.PhasePrepping}},
		{"today: writes its cache", upTo(today, "Start: creating root cache"), mockProgress{phase: plague.PhasePrepping, caching: true}},
		{"today: has written it", upTo(today, "Finish: chroot init"), mockProgress{phase: plague.PhasePrepping}},
		{"today: BuildRequires", upTo(today, "Finish: build setup for"), mockProgress{phase: plague.PhasePrepping, setup: true}},
		{"today: rpmbuild", upTo(today, "Start: rpmbuild tree-2.1.0-1.src.rpm"), mockProgress{phase: plague.PhaseBuilding, setup: true, built: true}},
		{"today: cleans after", today, mockProgress{phase: plague.PhaseCleanup, setup: true, built: true}},
		{"2015", " Start: build setup for a-1-1.src.rpm\n Finish: build setup for a-1-1.src.rpm\n Start: rpmbuild a-1-1.src.rpm\n",
			mockProgress{phase: plague.PhaseBuilding, setup: true, built: true}},
		{"2015: lower case", " start: rpmbuild a-1-1.src.rpm\n", mockProgress{phase: plague.PhaseBuilding, setup: true, built: true}},
		{"0.8: begins", "x State Changed: init plugins\nx State Changed: start\nx State Changed: lock buildroot\nx State Changed: clean\n",
			mockProgress{phase: plague.PhasePrepping}},
		{"0.8: cache", "x State Changed: init\nx State Changed: enabling root cache\nx State Changed: creating cache\n",
			mockProgress{phase: plague.PhasePrepping, caching: true}},
		{"0.8: unpacks", "x State Changed: creating cache\nx State Changed: unpacking cache\n", mockProgress{phase: plague.PhasePrepping}},
		{"0.8: setup", "x State Changed: running yum\nx State Changed: setup\n", mockProgress{phase: plague.PhasePrepping, setup: true}},
		{"0.8: builds", "x State Changed: setup\nx State Changed: build\n", mockProgress{phase: plague.PhaseBuilding, setup: true, built: true}},
		{"0.8: after", "x State Changed: build\nx State Changed: clean\n", mockProgress{phase: plague.PhaseCleanup, setup: true, built: true}},
		{"0.4: clean", "clean", mockProgress{phase: plague.PhasePrepping}},
		{"0.4: prep", "prep\n", mockProgress{phase: plague.PhasePrepping}},
		{"0.4: setup", "setup", mockProgress{phase: plague.PhasePrepping, setup: true}},
		{"0.4: build", "build", mockProgress{phase: plague.PhaseBuilding, setup: true, built: true}},
		{"a package named like a state", "x - Start: chroot init\nx - Finish: rpmbuild build.src.rpm\n", mockProgress{phase: plague.PhasePrepping}},
	} {
		if got := readMockState(tt.text); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// FuzzMockState: whatever is written there, there is a phase for it, and what has
// begun stays begun whatever follows.
func FuzzMockState(f *testing.F) {
	f.Add("x - Start: rpmbuild a\nx - Finish: rpmbuild a\n", "x - Start: clean chroot\n")
	f.Add("State Changed: setup\nState Changed: build\n", "State Changed: clean\n")
	f.Add("build", "\nending")
	rank := map[plague.Phase]int{"": 0, plague.PhasePrepping: 1, plague.PhaseBuilding: 2, plague.PhaseCleanup: 3}
	f.Fuzz(func(t *testing.T, text, more string) {
		first, then := readMockState(text+"\n"), readMockState(text+"\n"+more)
		for _, p := range []mockProgress{first, then} {
			if _, known := rank[p.phase]; !known || p.built != (rank[p.phase] >= 2) || p.built && !p.setup {
				t.Errorf("%q, then %q: %+v", text, more, p)
			}
		}
		if first.setup && !then.setup || first.built && !then.built || first.phase != "" && then.phase == "" {
			t.Errorf("%q is %+v, then with %q %+v", text, first, more, then)
		}
	})
}
