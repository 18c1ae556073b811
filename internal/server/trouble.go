package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/store"
)

// A builder whose attempts have trouble that is not their packages' rests, longer each
// time. From ailsAfter in a row on it is tried with one at a time, and says so.
const ailsAfter = 3

// ails says why a builder is tried with one attempt at a time; empty: it is not.
func (a *attendant) ails() string {
	if a.setbacks < ailsAfter {
		return ""
	}
	return fmt.Sprintf("its last attempts had trouble that was not their packages', so it is tried with one at a time, ever less often: %s", a.setback)
}

// A builder on which what others can build goes wrong drains itself.
const (
	sickAfter = 3                // arch jobs, with nothing in between that went well
	sickSpan  = 24 * time.Hour   // within which they ended there
	sickTick  = 30 * time.Second // how often it is looked at
	sickMost  = 100              // attempts that are looked at
)

// sick says why a builder should get nothing new, by the attempts that ended there last,
// the newest first: none of them went well, and enough of the jobs that went wrong there
// are done elsewhere; those that failed as their packages' fault, since somebody has
// requeued them. Empty: it is well, as far as that goes.
func sick(past []store.Past) string {
	var jobs []string
	var reason string
	for _, p := range past {
		if p.Outcome == string(plague.ArchDone) {
			break // it can build
		}
		job := fmt.Sprint(p.Job)
		failed := p.Outcome == string(plague.FailureInfrastructure) || p.Outcome == string(plague.FailurePackage)
		if !failed || !p.Elsewhere || slices.Contains(jobs, job) {
			continue
		}
		if jobs = append(jobs, job); len(jobs) == 1 {
			reason = p.Reason
		}
	}
	if len(jobs) < sickAfter {
		return ""
	}
	return fmt.Sprintf("jobs %s failed here and were built elsewhere; the last: %s", strings.Join(jobs, ", "), reason)
}

// examine drains the builder if it is sick and others can do its work.
func (a *attendant) examine(ctx context.Context, now time.Time) error {
	if a.report == nil || a.drained != "" || now.Before(a.examined.Add(sickTick)) {
		return nil
	}
	a.examined = now
	since := now.Add(-sickSpan)
	if a.resumed.After(since) {
		since = a.resumed
	}
	past, err := a.s.DB.PastOf(ctx, a.link.Name, since, sickMost)
	if err != nil {
		return err
	}
	why := sick(past)
	if why == "" || !a.s.replaced(a.link.Name, a.report.Arches) {
		return nil
	}
	a.s.Log.WarnContext(ctx, "builder drained: others can do what it cannot", "builder", a.link.Name, "reason", why)
	err = a.s.DB.Drain(ctx, store.Drain{Builder: a.link.Name, At: now, Why: why})
	if errors.Is(err, plague.ErrConflict) {
		return nil // somebody else did
	}
	return err
}

// replaced says whether other builders that take something build for all these arches.
func (s *Server) replaced(name string, arches []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, arch := range arches {
		other := false
		for _, c := range s.capacity {
			other = other || c.Name != name && c.takes && slices.Contains(c.Arches, arch)
		}
		if !other {
			return false
		}
	}
	return true
}

// clockTolerance is how far off a builder's clock may be: beyond it certificates, caches
// and make's idea of what is new go wrong in ways that nobody understands.
const clockTolerance = time.Minute

// clock says how far a builder's clock is off, if it is; now is when its report came.
func clock(r plague.Report, now time.Time) string {
	if r.Now.IsZero() {
		return "" // one of an older version does not say
	}
	return ClockOff(r.Now, now)
}

// ClockOff says how far a builder's clock is off from the server's, if it is too far.
func ClockOff(builder, server time.Time) string {
	switch off := builder.Sub(server); {
	case off > clockTolerance:
		return fmt.Sprintf("its clock is %s ahead of the server's; chrony or systemd-timesyncd sets it", off.Round(time.Second))
	case off < -clockTolerance:
		return fmt.Sprintf("its clock is %s behind the server's; chrony or systemd-timesyncd sets it", (-off).Round(time.Second))
	}
	return ""
}
