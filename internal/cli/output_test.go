package cli

import (
	"bytes"
	"strings"
	"testing"

	"plague"
	"plague/internal/wire"
)

func TestTable(t *testing.T) {
	head := []string{"UID", "STATUS", "ARCHES"}
	rows := [][]cell{
		{{text: "7"}, {text: "building", state: "building"}, {text: "x86_64 running, aarch64 queued"}},
		{{text: "1234"}, {text: "failed", state: "failed"}, {text: ""}},
	}
	for _, tt := range []struct {
		name   string
		screen screen
		want   string
	}{
		{"file", screen{}, "UID   STATUS    ARCHES\n7     building  x86_64 running, aarch64 queued\n1234  failed    \n"},
		{"narrow terminal", screen{width: 24}, "UID   STATUS    ARCHES\n7     building  x86_64 r\n1234  failed    \n"},
		{"colours", screen{width: 80, colour: true}, "UID   STATUS    ARCHES\n7     \x1b[34mbuilding\x1b[0m  x86_64 running, aarch64 queued\n1234  \x1b[31mfailed\x1b[0m    \n"},
	} {
		var out bytes.Buffer
		tt.screen.Writer = &out
		tt.screen.table(head, rows)
		if got := out.String(); got != tt.want {
			t.Errorf("%s: got\n%q\nwant\n%q", tt.name, got, tt.want)
		}
	}
}

// What a package's own text holds cannot steer a terminal or pose as a line of ours.
func TestShownTextIsHarmless(t *testing.T) {
	if got, want := oneLine("a\x1b[2J\nb\u202ec\td"), "a\ufffd[2J b\ufffdc d"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var out bytes.Buffer
	l := &lineWriter{w: &out, terminal: true}
	l.line("[x86_64] ", []byte("\x1b]0;title\x07 50 %\r"))
	if got, want := out.String(), "[x86_64] \ufffd]0;title\ufffd 50 %\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The names in JSON are the protocol's: scripts live by them.
func TestJSONNames(t *testing.T) {
	var out bytes.Buffer
	j := wire.JobRecord{Uid: 7, TargetDistro: "fedora", RpmVersion: "1", WaitsFor: 3, Archjobs: []wire.ArchJobRecord{{BuilderAddr: "b1", ParentUid: 7}}}
	if err := printJSONLine(&out, []any{j, wire.BuilderRecord{NumSlots: 2}, plague.Event{ArchJob: 4}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"uid":7`, `"target_distro":"fedora"`, `"rpm_version":"1"`, `"waits_for":3`, `"archjobs":[{`, `"builder_addr":"b1"`, `"parent_uid":7`,
		`"num_slots":2`, `"free_slots":0`, `"arch_job":4`, `"from":""`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}
