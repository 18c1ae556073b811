package server

import (
	"reflect"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

func id(n plague.ArchJobID, number int) plague.AttemptID {
	return plague.AttemptID{ArchJob: n, Number: number, Token: "t"}
}

// held is an arch job that a builder holds by its second attempt.
func held(n plague.ArchJobID, state plague.ArchState, phase plague.Phase) store.HeldRow {
	return store.HeldRow{ArchJob: plague.ArchJob{ID: n, Attempt: 2, Token: "t", Builder: "b1", State: state, Phase: phase}}
}

func says(n plague.ArchJobID, number int, phase plague.Phase) plague.AttemptReport {
	return plague.AttemptReport{AttemptID: id(n, number), Phase: phase}
}

// What a report means for each attempt that the store says the builder holds.
func TestJudge(t *testing.T) {
	files := []plague.Artifact{{Name: "build.log"}}
	broken := &plague.Failure{Kind: plague.FailurePackage, Message: "it does not compile"}
	ended := func(f *plague.Failure) plague.AttemptReport {
		r := says(1, 2, plague.PhaseFailed)
		r.Failure, r.Artifacts = f, files
		return r
	}
	done := says(1, 2, plague.PhaseDone)
	done.Artifacts = files
	refused := says(1, 2, plague.PhaseDownloading)
	refused.Refused = "no slot"
	back := func(kind plague.FailureKind, why string) []verdict {
		return []verdict{{id: id(1, 2), state: plague.ArchQueued, back: kind, why: why}}
	}
	hungry := &plague.Failure{Kind: plague.FailureMemory, Message: "killed", Had: 8}
	second := held(1, plague.ArchRunning, plague.PhaseBuilding)
	second.Outgrew = plague.FailureDisk
	larger := func(h store.HeldRow, f plague.Failure) string {
		if h.Outgrew != "" || f.Had != 8 {
			return "no more"
		}
		return ""
	}
	for _, tt := range []struct {
		name    string
		held    store.HeldRow
		report  []plague.AttemptReport
		knows   int64 // sequence of the orders that the report knows
		namedIn int64 // sequence of those that first named the attempt; 0: none of this term
		want    []verdict
	}{
		{"it begins", held(1, plague.ArchAssigned, ""), []plague.AttemptReport{says(1, 2, plague.PhaseDownloading)}, 7, 7,
			[]verdict{{id: id(1, 2), state: plague.ArchRunning, phase: plague.PhaseDownloading}}},
		{"it goes on", held(1, plague.ArchRunning, plague.PhasePrepping), []plague.AttemptReport{says(1, 2, plague.PhaseBuilding)}, 7, 7,
			[]verdict{{id: id(1, 2), state: plague.ArchRunning, phase: plague.PhaseBuilding}}},
		{"nothing new", held(1, plague.ArchRunning, plague.PhaseBuilding), []plague.AttemptReport{says(1, 2, plague.PhaseBuilding)}, 7, 7, nil},
		{"it is done", held(1, plague.ArchRunning, plague.PhaseBuilding), []plague.AttemptReport{done}, 7, 7,
			[]verdict{{id: id(1, 2), state: plague.ArchDownloading, files: files}}},
		{"done before anybody saw it run", held(1, plague.ArchAssigned, ""), []plague.AttemptReport{done}, 7, 7,
			[]verdict{{id: id(1, 2), state: plague.ArchDownloading, files: files}}},
		{"its files are fetched", held(1, plague.ArchDownloading, plague.PhaseDone), []plague.AttemptReport{done}, 7, 7, nil},
		{"its files are fetched, the builder has lost them", held(1, plague.ArchDownloading, plague.PhaseDone), nil, 7, 7, nil},
		{"the package is broken", held(1, plague.ArchRunning, plague.PhaseBuilding), []plague.AttemptReport{ended(broken)}, 7, 7,
			[]verdict{{id: id(1, 2), state: plague.ArchDownloading, end: broken, files: files}}},
		{"the machine is broken", held(1, plague.ArchRunning, plague.PhaseBuilding),
			[]plague.AttemptReport{ended(&plague.Failure{Kind: plague.FailureInfrastructure, Message: "no mirror"})}, 7, 7, back(plague.FailureInfrastructure, "no mirror")},
		{"its supervisor was lost", held(1, plague.ArchRunning, plague.PhaseBuilding),
			[]plague.AttemptReport{ended(&plague.Failure{Kind: plague.FailureLost, Message: "gone"})}, 7, 7, back(plague.FailureLost, "gone")},
		{"too large for its builder", held(1, plague.ArchRunning, plague.PhaseBuilding), []plague.AttemptReport{ended(hungry)}, 7, 7,
			[]verdict{{id: id(1, 2), state: plague.ArchQueued, back: plague.FailureMemory, why: "killed", had: 8}}},
		{"too large, and none is larger", second, []plague.AttemptReport{ended(hungry)}, 7, 7,
			[]verdict{{id: id(1, 2), state: plague.ArchDownloading, end: &plague.Failure{Kind: plague.FailureMemory, Message: "killed; no more", Had: 8}, files: files}}},
		{"a kind that there is not", held(1, plague.ArchRunning, plague.PhaseBuilding),
			[]plague.AttemptReport{ended(&plague.Failure{Kind: store.Refused, Message: "for ever"})}, 7, 7, back(plague.FailureInfrastructure, "for ever")},
		{"failed without a reason", held(1, plague.ArchRunning, plague.PhaseBuilding), []plague.AttemptReport{ended(nil)}, 7, 7,
			back(plague.FailureInfrastructure, "builder b1 does not say why")},
		{"stopped, and nobody here asked for it", held(1, plague.ArchRunning, plague.PhaseBuilding),
			[]plague.AttemptReport{says(1, 2, plague.PhaseKilled)}, 7, 7, back(plague.FailureLost, "it was stopped on builder b1")},
		{"refused", held(1, plague.ArchAssigned, ""), []plague.AttemptReport{refused}, 7, 7, back(store.Refused, "builder b1 refused it: no slot")},
		{"the builder knows the orders and has it not", held(1, plague.ArchAssigned, ""), nil, 7, 7, back(plague.FailureLost, "builder b1 no longer has it")},
		{"the builder does not know the orders yet", held(1, plague.ArchAssigned, ""), nil, 6, 7, nil},
		{"no orders of this term have named it", held(1, plague.ArchRunning, plague.PhaseBuilding), nil, 9, 0, nil},
		{"a late report of the attempt before", held(1, plague.ArchAssigned, ""), []plague.AttemptReport{says(1, 1, plague.PhaseDone)}, 6, 7, nil},
		{"an attempt that the store knows nothing of", held(1, plague.ArchRunning, plague.PhaseBuilding),
			[]plague.AttemptReport{says(1, 2, plague.PhaseBuilding), says(9, 1, plague.PhaseDone)}, 7, 7, nil},
	} {
		named := map[plague.AttemptID]int64{}
		if tt.namedIn > 0 {
			named[id(1, 2)] = tt.namedIn
		}
		got := judge([]store.HeldRow{tt.held}, plague.Report{Builder: "b1", Sequence: tt.knows, Attempts: tt.report}, named, larger)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, not %+v", tt.name, got, tt.want)
		}
	}
}

// Only what runs can be overdue; what waits for its files has ended.
func TestOverdue(t *testing.T) {
	now := time.Unix(100_000, 0)
	for _, tt := range []struct {
		state plague.ArchState
		since time.Duration
		want  bool
	}{
		{plague.ArchRunning, time.Hour, false},
		{plague.ArchRunning, time.Hour + time.Second, true},
		{plague.ArchAssigned, 2 * time.Hour, false},
		{plague.ArchDownloading, 2 * time.Hour, false},
	} {
		h := held(1, tt.state, "")
		h.StateAt = now.Add(-tt.since)
		if got := overdue(h, now, time.Hour); got != tt.want {
			t.Errorf("%s since %s: %v", tt.state, tt.since, got)
		}
	}
}
