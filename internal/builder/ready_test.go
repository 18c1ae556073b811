package builder_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
