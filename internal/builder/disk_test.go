package builder

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/wire"
)

var update = flag.Bool("update", false, "record what this minor version leaves on the disk in testdata")

// TestDiskOfOlderVersions: what daemon and supervisor of every minor version leave in an
// attempt's folder, and say at its socket, is read today, and today's has all that they
// would look for: a build outlives the program that began it, up and down.
func TestDiskOfOlderVersions(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	today := map[string]any{
		recordFile: record{ID: plague.AttemptID{ArchJob: 1, Number: 2, Token: "TOKEN"}, Slot: 3, AcceptedAt: at, Work: plague.Work{
			Job: 7, Run: 2, Kind: plague.KindSRPM, Package: "tree", Target: "lab-12-extras", Arch: "i686", RootArch: "i386", Tag: "tree-1-1",
			SRPM:  plague.Artifact{Name: "tree-1-1.src.rpm", Digest: "0a", Size: 12345},
			SCM:   &plague.SCM{Kind: "git", Layout: "make", URL: "u", CVSRoot: "r", CVSRSH: "ssh", Common: "c", Branch: "b", Lookaside: "l", Network: true, Allow: []string{"a"}},
			Repos: []plague.WorkRepo{{ID: "plague", URL: "u", Repomd: "0b", Own: true}}, Buildroot: []string{"make"}, Macros: map[string]string{"dist": ".lab"}, Timeout: time.Hour}},
		outcomeFile: Outcome{Failure: &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "m", Had: 5}, Killed: true, EndedAt: at,
			Pinned: &plague.Pinned{Kind: "git", URL: "u", Revision: "r", Tree: "t"}, Files: []plague.Artifact{{Name: "build.log", Digest: "0c", Size: 99}},
			Used: plague.Usage{Memory: 3, Meter: plague.MeterGroup, Disk: 4}},
		"control.json": News{Phase: plague.PhaseBuilding, Log: true},
	}
	words := strings.SplitN(wire.Release(), ".", 3)
	here := filepath.Join("testdata", words[0]+"."+words[1])
	for name, v := range today {
		data, err := json.MarshalIndent(v, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, '\n')
		if *update {
			if err := os.MkdirAll(here, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(here, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if then, err := os.ReadFile(filepath.Join(here, name)); err != nil || !bytes.Equal(then, data) {
			t.Errorf("%s is not as recorded (%v): a new member is fine, `go test ./internal/builder -run Disk -update` records it", name, err)
		}
		files, err := filepath.Glob(filepath.Join("testdata", "*.*", name))
		if err != nil || len(files) == 0 {
			t.Fatalf("recordings of %s: %v, %v", name, files, err)
		}
		for _, file := range files {
			then, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := strictly(name, then); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// strictly reads a file, and refuses what today's program would pass over.
func strictly(name string, data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	switch name {
	case recordFile:
		return d.Decode(&record{})
	case outcomeFile:
		return d.Decode(&Outcome{})
	}
	return d.Decode(&News{})
}
