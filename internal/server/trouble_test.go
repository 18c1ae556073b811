package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/sched"
	"plague/internal/store"
)

// A builder is sick when others built what went wrong there, and nothing went well in
// between.
func TestSick(t *testing.T) {
	for _, tt := range []struct {
		past string // newest first: w well, p package's fault, P the same and done elsewhere since, i trouble here and done elsewhere, I trouble and not done, l lost, s trouble of the job before
		sick bool
	}{
		{"", false}, {"ii", false}, {"iii", true}, {"iiiw", true}, {"iwii", false}, {"wiii", false}, {"ipii", true}, {"ppp", false}, {"iip", false}, {"PPP", true}, {"iPwP", false},
		{"IIII", false}, {"iIiIi", true}, {"iss", false}, {"ilill", false}, {"ilili", true}, {"rirri", false}, {"irrii", true},
	} {
		var past []store.Past
		for i, c := range tt.past {
			p := store.Past{Job: plague.JobID(100 - i), Reason: fmt.Sprint("reason ", i)}
			switch c {
			case 'w':
				p.Outcome, p.State = "done", plague.ArchDone
			case 'p':
				p.Outcome, p.State = "package", plague.ArchFailed
			case 'P':
				p.Outcome, p.State, p.Elsewhere = "package", plague.ArchFailed, true
			case 'i':
				p.Outcome, p.Elsewhere = "infrastructure", true
			case 's':
				p.Job, p.Outcome, p.Elsewhere = past[i-1].Job, "infrastructure", true
			case 'I':
				p.Outcome = "infrastructure"
			case 'l':
				p.Outcome, p.Elsewhere = "lost", true
			case 'r':
				p.Outcome, p.Elsewhere = "refused", true
			}
			past = append(past, p)
		}
		why := sick(past)
		if (why != "") != tt.sick || tt.sick && !(strings.HasPrefix(why, "jobs 100, ") && strings.HasSuffix(why, "the last: reason 0")) {
			t.Errorf("%s: %q, want sick: %v", tt.past, why, tt.sick)
		}
	}
}

// Only a builder whose work others can do drains itself: else all might, one after the
// other.
func TestReplaced(t *testing.T) {
	s := &Server{capacity: map[string]capacity{}}
	for name, c := range map[string]capacity{
		"a": {Capacity: sched.Capacity{Arches: []string{"x86_64", "i686"}}, takes: true},
		"b": {Capacity: sched.Capacity{Arches: []string{"x86_64"}}, takes: true},
		"c": {Capacity: sched.Capacity{Arches: []string{"i686", "s390x"}}, takes: false},
	} {
		c.Name = name
		s.capacity[name] = c
	}
	for name, want := range map[string]bool{"a": false, "b": true, "c": false} {
		if got := s.replaced(name, s.capacity[name].Arches); got != want {
			t.Errorf("%s is replaced: %v", name, got)
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Now()
	for off, want := range map[time.Duration]string{
		0: "", time.Minute: "", -time.Minute: "", 61 * time.Second: "its clock is 1m1s ahead", -2 * time.Hour: "its clock is 2h0m0s behind",
	} {
		if got := clock(plague.Report{Now: now.Add(off)}, now); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", off, got, want)
		}
	}
	if got := clock(plague.Report{}, now); got != "" {
		t.Errorf("one that does not say: %q", got)
	}
}

// A builder in trouble is tried with one attempt at a time, and a drained one with none.
func TestRoomInTrouble(t *testing.T) {
	well := func() *attendant { return &attendant{s: &Server{}, knows: true, report: &plague.Report{Slots: 4}} }
	a := well()
	for range ailsAfter {
		a.rest(a.resting)
		a.setback = "no disk"
	}
	a.resting = time.Time{}
	if c := a.room(); !c.takes || c.most != 1 || !strings.HasSuffix(a.ails(), "no disk") {
		t.Errorf("ailing: %+v, %q", c, a.ails())
	}
	a.setbacks = ailsAfter - 1
	if c := a.room(); !c.takes || c.most != 4 || a.ails() != "" {
		t.Errorf("not ailing yet: %+v, %q", c, a.ails())
	}
	for what, change := range map[string]func(*attendant){
		"drained": func(a *attendant) { a.drained = "drained" }, "not asked": func(a *attendant) { a.knows = false },
		"clock": func(a *attendant) { a.clock = "off" }, "silent": func(a *attendant) { a.trouble = "silent" },
	} {
		a := well()
		if change(a); a.room().takes {
			t.Errorf("%s: it takes something", what)
		}
	}
}
