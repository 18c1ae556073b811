package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/sched"
)

// TestBudgetGoesAround: what infrastructure trouble meets is tried on every builder
// before it comes to one again, the busiest too, and fails its job after the budget of
// its run with all reasons. What is lost has a budget of its own.
func TestBudgetGoesAround(t *testing.T) {
	h := newHistory(t, 1)
	for i, stray := range []int{0, 0, 3} { // the last has the smallest part of it free
		h.s.setCapacity(capacity{Capacity: sched.Capacity{Name: fmt.Sprint("b", i), Arches: []string{"x86_64"}, Slots: 4}, takes: true, most: 4, stray: stray})
	}
	h.build()
	var tried []string
	fails := func(kind plague.FailureKind) (final bool) {
		t.Helper()
		h.must(h.s.advance(t.Context(), &h.p))
		h.must(h.s.assign(t.Context(), h.term, h.p))
		held, err := h.s.DB.Held(t.Context(), "")
		h.must(err)
		if len(held) != 1 {
			t.Fatalf("after %v: %d are held, want one", tried, len(held))
		}
		b := held[0].Builder
		tried = append(tried, b)
		final, err = h.s.DB.Back(t.Context(), h.term, time.Now(), attemptOf(held[0]), b, kind, fmt.Sprintf("trouble %d on %s", len(tried), b), h.s.budget(kind))
		h.must(err)
		return final
	}
	for range 3 {
		if fails(plague.FailureLost) {
			t.Fatalf("it failed after %v were lost", tried)
		}
	}
	around := slices.Sorted(slices.Values(tried))
	if !slices.Equal(around, []string{"b0", "b1", "b2"}) {
		t.Errorf("the first three were on %v", tried)
	}
	for n := 1; !fails(plague.FailureInfrastructure); n++ {
		if n > 5 {
			t.Fatal("it goes on for ever")
		}
		if tried[len(tried)-1] == tried[len(tried)-2] {
			t.Errorf("twice running on one builder: %v", tried)
		}
	}
	if len(tried) != 3+5 {
		t.Errorf("%d attempts, want 3 lost and a budget of 5", len(tried))
	}
	j, err := h.s.DB.Job(t.Context(), h.jobs[0])
	h.must(err)
	if j.State != plague.JobFailed {
		t.Errorf("the job is %s", j.State)
	}
	for i, b := range tried {
		if reason := fmt.Sprintf("trouble %d on %s", i+1, b); !strings.Contains(j.Reason, reason) {
			t.Errorf("no %q in %q", reason, j.Reason)
		}
	}
}
