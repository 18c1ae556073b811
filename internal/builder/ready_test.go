package builder_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"plague"
)

// A builder whose machine is not ready says why, takes on nothing, and comes back
// by itself.
func TestSuspendsItselfUntilItIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var emulator atomic.Bool
		r.ready = func() error {
			if emulator.Load() {
				return nil
			}
			return errors.New("there is no emulator")
		}
		defer r.stopAll()
		d := r.mustBoot()
		defer d.stop()
		rep, err := d.Sync(t.Context(), at(1, 1, run(1)))
		if err != nil || rep.Suspended != "there is no emulator" {
			t.Errorf("it says %q, %v", rep.Suspended, err)
		}
		if got := said(rep, 1); got == nil || !strings.Contains(got.Refused, "there is no emulator") {
			t.Errorf("of an attempt it says %+v", got)
		}
		emulator.Store(true)
		time.Sleep(time.Minute)
		if rep = d.Report(); rep.Suspended != "" {
			t.Errorf("it is ready and says %q", rep.Suspended)
		}
		emulator.Store(false)
		time.Sleep(time.Minute)
		if rep = d.Report(); rep.Suspended == "" {
			t.Error("the emulator has gone, and it takes on more")
		}
	})
}

// What it cannot build it refuses and says why; other orders it takes.
func TestRefusesWhatItCannotBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.takes = func(w *plague.Work) error {
			if w.Target == "lab-12-extras" {
				return nil
			}
			return errors.New("mock has no configuration for " + w.Target)
		}
		defer r.stopAll()
		d := r.mustBoot()
		defer d.stop()
		rep, err := d.Sync(t.Context(), at(1, 1, run(1, func(w *plague.Work) { w.Target = "lab-13-extras" })))
		if err != nil {
			t.Fatal(err)
		}
		if got := said(rep, 1); got == nil || got.Refused != "mock has no configuration for lab-13-extras" {
			t.Errorf("of orders that it cannot build it says %+v", got)
		}
		if rep, err = d.Sync(t.Context(), at(1, 2, run(2))); err != nil || said(rep, 2) == nil || said(rep, 2).Refused != "" {
			t.Errorf("of others it says %+v, %v", said(rep, 2), err)
		}
	})
}
