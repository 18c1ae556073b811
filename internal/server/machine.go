package server

import (
	"context"
	"fmt"
	"slices"

	"plague"
	"plague/internal/sched"
	"plague/internal/store"
	"plague/internal/wire"
)

// Bounds of what a builder may say of its machine: whatever it says becomes rows and
// sums. What is beyond them is not said.
const (
	maxMemory = 1 << 50
	maxDisk   = 1 << 55
	maxLoad   = 1e6
)

// machineOf is what a report says of its machine, as far as that can be.
func machineOf(r plague.Report) plague.Machine {
	m := plague.Machine{Memory: within(r.Memory, maxMemory), FreeDisk: within(r.Free, maxDisk)}
	m.FreeMemory = within(r.FreeMemory, m.Memory)
	if r.Load > 0 && r.Load <= maxLoad { // which is false for what is no number
		m.Load = r.Load
	}
	for _, l := range r.Labels {
		if len(m.Labels) < wire.MaxLabels && plague.ValidLabel(l) == nil {
			m.Labels = append(m.Labels, l)
		}
	}
	slices.Sort(m.Labels)
	m.Labels = slices.Compact(m.Labels)
	return m
}

// usedOf is what an attempt used, as far as that can be.
func usedOf(a plague.AttemptReport) (u plague.Usage) {
	if a.Used == nil {
		return u
	}
	u.Disk = within(a.Used.Disk, maxDisk)
	if m := a.Used.Meter; m == plague.MeterGroup || m == plague.MeterProcess {
		u.Memory, u.Meter = within(a.Used.Memory, maxMemory), m
	}
	return u
}

// failureOf is a failure by a build's size, with what its builder had as far as that can
// be said.
func failureOf(f plague.Failure, r plague.Report) plague.Failure {
	m, most := machineOf(r), int64(maxMemory)
	has := m.Memory
	if f.Kind == plague.FailureDisk {
		has, most = m.FreeDisk, maxDisk
	}
	if f.Had = within(f.Had, most); f.Had == 0 {
		f.Had = has
	}
	return f
}

// larger gives what says why an arch job that ran out of memory or disk is not tried
// again: it was before, or no builder has more than f.Had; empty: it is. All builders of
// the roster count, as they were when they were heard last: one that is away or drained
// just now is waited for, and that is said.
func (s *Server) larger(ctx context.Context, r plague.Report) (func(store.HeldRow, plague.Failure) string, error) {
	if !slices.ContainsFunc(r.Attempts, func(a plague.AttemptReport) bool { return a.Failure != nil && a.Failure.Kind.Size() }) {
		return nil, nil
	}
	known, err := s.DB.Builders(ctx)
	var others []sched.Capacity
	for _, b := range known {
		if _, ours := s.roster.find(b.Name); ours && b.Name != r.Builder {
			others = append(others, sched.Capacity{Name: b.Name, Arches: b.Arches, Targets: b.Targets, Machine: b.Machine})
		}
	}
	return func(h store.HeldRow, f plague.Failure) string {
		if h.Outgrew != "" {
			return fmt.Sprintf("it ran out of %s on a smaller builder before", h.Outgrew)
		}
		h.Outgrew, h.Above = f.Kind, f.Had
		it := s.item(store.QueueRow{ArchJob: h.ArchJob, Package: h.JobRow.Package, Target: h.JobRow.Target})
		if len(sched.Fitting(it, others)) > 0 {
			return ""
		}
		return fmt.Sprintf("no other builder that builds %s for %s has more than %s", h.Arch, h.JobRow.Target, plague.Size(f.Had))
	}, err
}

func within(n, most int64) int64 {
	if n < 0 || n > most {
		return 0
	}
	return n
}

// diskStep is how much free disk has to change for the planner to hear of it.
const diskStep = 1 << 30

// forPlans is the part of a machine that plans are made by. It changes seldom, for
// each change wakes the planner.
func forPlans(m plague.Machine) plague.Machine {
	return plague.Machine{Memory: m.Memory, FreeDisk: m.FreeDisk / diskStep * diskStep, Labels: m.Labels}
}
