package wire

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"plague"
)

// fullOrders and fullReport have every member that there is. What is in a recording stays
// as it is here: a new member is added, with a value.
func fullOrders() plague.Orders {
	build := plague.Work{
		Job: 7, Run: 2, Kind: plague.KindBuild, Package: "tree", Target: "lab-12-extras", Arch: "i686", RootArch: "i386",
		SRPM:      plague.Artifact{Name: "tree-1-1.src.rpm", Digest: strings.Repeat("0a", 32), Size: 12345},
		Repos:     []plague.WorkRepo{{ID: "plague", URL: "https://farm.example.com:8885/repos/lab-12-extras/i386/@3/", Repomd: strings.Repeat("0b", 32), Own: true}},
		Buildroot: []string{"@buildsys-build", "make"}, Macros: map[string]string{"dist": ".lab12"}, Timeout: 24 * time.Hour,
	}
	source := build
	source.Kind, source.Tag, source.SRPM = plague.KindSRPM, "tree-1-1", plague.Artifact{}
	source.SCM = &plague.SCM{Kind: "git", Layout: "dist-git", URL: "https://git.example.com/", CVSRoot: "/cvs", CVSRSH: "ssh", Common: "common", Branch: "devel",
		Lookaside: "https://files.example.com/", Network: true, Allow: []string{"https://git.example.com/"}}
	return plague.Orders{
		Farm: "farm", Term: 3, Sequence: 41, Instance: "INSTANCE", Seen: 17, Wait: MaxWait, Software: "1.0.0 0a1b2c",
		Attempts: []plague.Order{
			{AttemptID: recordedID(1), Verb: plague.VerbRun, Work: &build},
			{AttemptID: recordedID(2), Verb: plague.VerbRun, Work: &source},
			{AttemptID: recordedID(3), Verb: plague.VerbStop},
			{AttemptID: recordedID(4), Verb: plague.VerbForget},
		},
	}
}

func fullReport() plague.Report {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return plague.Report{
		Builder: "b1", Instance: "INSTANCE", Version: 18, Software: "1.0.0 0a1b2c", Farm: "farm", Term: 3, Sequence: 41, Slots: 4,
		Arches: []string{"i686", "x86_64", "aarch64"}, Emulated: []string{"aarch64"}, Targets: []string{"lab-*"}, Suspended: "its disk is full", Free: 1 << 40, Now: at,
		Memory: 8 << 30, FreeMemory: 1 << 30, Load: 1.5, Labels: []string{"big", "ssd"},
		Attempts: []plague.AttemptReport{
			{AttemptID: recordedID(1), Phase: plague.PhaseBuilding, BegunAt: at},
			{AttemptID: recordedID(2), Phase: plague.PhaseFailed, BegunAt: at, EndedAt: at.Add(time.Minute),
				Failure: &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "rpmbuild ended with 1"},
				Pinned:  &plague.Pinned{Kind: "git", URL: "https://git.example.com/tree", Revision: "0a1b2c", Tree: "3d4e5f"}},
			{AttemptID: recordedID(3), Phase: plague.PhaseDone, BegunAt: at, EndedAt: at.Add(time.Minute),
				Artifacts: []plague.Artifact{{Name: "build.log", Digest: strings.Repeat("0c", 32), Size: 99}}},
			{AttemptID: recordedID(4), Phase: plague.PhaseDownloading, Refused: "all 4 slots are busy", BegunAt: at},
			{AttemptID: recordedID(5), Phase: plague.PhaseKilled, BegunAt: at, EndedAt: at.Add(time.Minute)},
			{AttemptID: recordedID(6), Phase: plague.PhaseFailed, BegunAt: at, EndedAt: at.Add(time.Minute),
				Failure: &plague.Failure{Kind: plague.FailureMemory, Phase: plague.PhaseBuilding, Message: "out of memory", Had: 8 << 30},
				Used:    &plague.Usage{Memory: 7 << 30, Meter: plague.MeterGroup, Disk: 3 << 30}},
		},
	}
}

func recordedID(n plague.ArchJobID) plague.AttemptID {
	return plague.AttemptID{ArchJob: n, Number: 2, Token: "TOKEN"}
}

// TestRecordingsAreFull: no member of orders and reports is left out of the recordings.
func TestRecordingsAreFull(t *testing.T) {
	seen := map[string]bool{}
	note(seen, reflect.ValueOf(fullOrders()))
	note(seen, reflect.ValueOf(fullReport()))
	for name, set := range seen {
		if !set {
			t.Errorf("%s is nowhere set in fullOrders and fullReport", name)
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d members were looked at", len(seen))
	}
}

// note tells of each member below a value whether it is set somewhere.
func note(seen map[string]bool, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			note(seen, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			note(seen, v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			name := v.Type().String() + "." + v.Type().Field(i).Name
			seen[name] = seen[name] || !v.Field(i).IsZero()
			note(seen, v.Field(i))
		}
	}
}
