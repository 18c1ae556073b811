package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/durable"
)

// The record is the daemon's: it names neither another attempt, whose buildroot would be
// this one's, nor an account that is not of its slot.
func TestSuperviseBelievesNoRecord(t *testing.T) {
	for name, r := range map[string]record{
		"another attempt":     {ID: plague.AttemptID{ArchJob: 2, Number: 1}},
		"another number":      {ID: plague.AttemptID{ArchJob: 1, Number: 11}},
		"no such slot":        {Slot: maxSlot + 1},
		"an account below":    {Slot: -1},
		"root":                {Slot: -testUID},
		"the daemon's own":    {Slot: 7},
		"a slot that is held": {Slot: 3},
	} {
		t.Run(name, func(t *testing.T) {
			if r.ID.ArchJob == 0 {
				r.ID = plague.AttemptID{ArchJob: 1, Number: 1}
			}
			built := ""
			backend := backendFunc(func(s buildroot.Spec) { built = fmt.Sprint(s.ID, " as ", s.UID) })
			slots := t.TempDir()
			held, err := holdSlot(t.Context(), slots, 3)
			if err != nil {
				t.Fatal(err)
			}
			defer held.Close()
			d := attemptFolder(t, r)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTimeout)
			defer cancel()
			err = Supervise(ctx, Supervision{Dir: d, Name: "1-1", Slots: slots, Backend: backend, FirstUID: testUID, FetchUID: testUID + 7, News: func(News) {}})
			if built != "" {
				t.Errorf("it built %s: %v", built, err)
			}
		})
	}
	built := ""
	d := attemptFolder(t, record{ID: plague.AttemptID{ArchJob: 1, Number: 1}, Slot: 2})
	backend := backendFunc(func(s buildroot.Spec) { built = fmt.Sprint(s.ID, " as ", s.UID) })
	err := Supervise(t.Context(), Supervision{Dir: d, Name: "1-1", Slots: t.TempDir(), Backend: backend, FirstUID: testUID, FetchUID: -1, News: func(News) {}})
	if err != nil || built != fmt.Sprint("1-1 as ", testUID+2) {
		t.Errorf("it built %q, %v", built, err)
	}
}

const testUID = 61900

type backendFunc func(buildroot.Spec)

func (f backendFunc) Build(_ context.Context, s buildroot.Spec, _ buildroot.Log, _ string, _ func(string)) (buildroot.Result, error) {
	f(s)
	return buildroot.Result{}, nil
}

// attemptFolder is one that the daemon has made for a record.
func attemptFolder(t *testing.T, r record) *durable.Dir {
	t.Helper()
	d, err := durable.Open(t.TempDir(), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	r.Work = plague.Work{Arch: "x86_64", RootArch: "x86_64"}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.MkdirAll(filesDir, 0o755), d.WriteFile(recordFile, data, 0o644), d.WriteFile(srpmFile, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{recordFile, srpmFile} {
			if err := os.Chown(d.Path(name), testUID+7, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	return d
}
