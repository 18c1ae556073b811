package buildroot

import (
	"slices"
	"strings"

	"plague"
)

// mockProgress is how far mock has come, by what it said of its states.
type mockProgress struct {
	phase   plague.Phase // PhasePrepping, PhaseBuilding or PhaseCleanup; "": it has said nothing
	setup   bool         // what the package itself needs was being installed, at least
	built   bool         // rpmbuild was begun
	caching bool         // it is writing a cache that later builds begin with
}

// readMockState follows all that mock has written of its states, in any of the forms
// that it had:
//
//	2026-05-19 20:07:45,123 - Start: rpmbuild tree-2.1.0-1.src.rpm   state.log of today; before 2015 without the time
//	Mon Nov 23 12:00:00 2026 - State Changed: build                  state.log of mock 0.8
//	prep                                                             status of mock 0.4, which is overwritten
func readMockState(text string) (p mockProgress) {
	for line := range strings.Lines(text) {
		line = strings.ToLower(strings.TrimSpace(line))
		if _, state, ok := cutAny(line, "start: ", "start(bootstrap): "); ok {
			p.enter(state)
		} else if _, state, ok := cutAny(line, "finish: ", "finish(bootstrap): "); ok {
			p.leave(state)
		} else if _, state, ok := strings.Cut(line, "state changed: "); ok {
			p.change(state)
		} else if slices.Contains([]string{"init", "clean", "prep", "setup", "build", "ending", "done"}, line) {
			p.change(line)
		}
	}
	return p
}

func cutAny(line string, seps ...string) (before, after string, found bool) {
	for _, sep := range seps {
		if before, after, found = strings.Cut(line, sep); found {
			return before, after, true
		}
	}
	return line, "", false
}

// enter and leave take in states of today's mock, which are nested.
func (p *mockProgress) enter(state string) {
	switch {
	case strings.HasPrefix(state, "rpmbuild "):
		p.phase, p.setup, p.built = plague.PhaseBuilding, true, true
	case strings.HasPrefix(state, "build setup for "):
		p.setup = true
	}
	p.caching = state == "creating root cache"
	if p.phase == "" {
		p.phase = plague.PhasePrepping
	}
}

func (p *mockProgress) leave(state string) {
	if strings.HasPrefix(state, "rpmbuild ") && p.built {
		p.phase = plague.PhaseCleanup
	}
	p.caching = p.caching && state != "creating root cache"
}

// change takes in states of older mocks, of which each ends the one before.
func (p *mockProgress) change(state string) {
	switch {
	case state == "build":
		p.phase, p.setup, p.built = plague.PhaseBuilding, true, true
	case p.built:
		p.phase = plague.PhaseCleanup
	default:
		p.phase = plague.PhasePrepping
	}
	p.setup = p.setup || state == "setup" && p.phase == plague.PhasePrepping
	p.caching = state == "creating cache"
}
