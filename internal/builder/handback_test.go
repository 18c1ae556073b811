package builder_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plague"
	"plague/internal/builder"
)

// A builder that hands back stops what it runs, says that it is lost, takes nothing
// new, and is ready to end once it was told to forget it all.
func TestHandsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stopAll()
		d := r.mustBoot()
		defer d.stop()
		if _, err := d.Sync(t.Context(), at(1, 1, run(1))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		done := make(chan error, 1)
		go func() { done <- d.HandBack(t.Context()) }()
		synctest.Wait()
		a := said(d.Report(), 1)
		if a == nil || a.Phase != plague.PhaseFailed || a.Failure == nil || a.Failure.Kind != plague.FailureLost {
			t.Fatalf("it says %+v", a)
		}
		rep, err := d.Sync(t.Context(), at(1, 2, run(1), run(2)))
		if err != nil || said(rep, 2) == nil || !strings.Contains(said(rep, 2).Refused, "is being stopped") {
			t.Errorf("what is new: %+v, %v", rep, err)
		}
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it is over before anybody said that it may forget: %v", err)
		default:
		}
		if rep, err = d.Sync(t.Context(), at(1, 3, order(1, plague.VerbForget), order(2, plague.VerbForget))); err != nil || len(rep.Attempts) != 0 {
			t.Errorf("it has %v, %v", rep.Attempts, err)
		}
		if err := <-done; err != nil || time.Since(begun) > time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

// A builder whose server does not answer ends all the same; what it ran is stopped, and
// the next daemon still says that it is lost.
func TestHandsBackToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stopAll()
		d := r.mustBoot()
		if _, err := d.Sync(t.Context(), at(1, 1, run(1))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		if err := d.HandBack(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != builder.HandBackTime {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		d.stop()
		d = r.mustBoot()
		defer d.stop()
		if a := said(d.Report(), 1); a == nil || a.Failure == nil || a.Failure.Kind != plague.FailureLost || d.Report().Suspended != "" {
			t.Errorf("the next one says %+v, suspended %q", a, d.Report().Suspended)
		}
	})
}
