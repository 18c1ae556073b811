package farmtest

import (
	"slices"

	"plague"
)

// mostMemory is that of the largest machine that builds an arch job.
func (a *audit) mostMemory(aj plague.ArchJob) (most int64) {
	for _, m := range a.machines {
		if m.builds(aj.Arch) {
			most = max(most, m.memory)
		}
	}
	return most
}

func (m *Machine) builds(arch string) bool {
	return plague.Anywhere(arch) || slices.Contains(m.arches, arch)
}

func (a *audit) memoryOf(builder string) int64 {
	at := slices.IndexFunc(a.machines, func(m *Machine) bool { return m.name == builder })
	if at < 0 {
		return 0
	}
	return a.machines[at].memory
}

// outgrown checks an arch job that ran out of memory: it was tried again once at most, on
// machines that have more, and failed if it ran out again.
func (a *audit) outgrown(aj plague.ArchJob, r Recipe) error {
	all, err := a.db.Attempts(a.ctx, aj.ID)
	if err != nil {
		return err
	}
	short, least := 0, int64(0)
	for _, at := range all {
		has := a.memoryOf(at.Builder)
		if least > 0 && has <= least {
			a.broken("7: arch job %d ran out of memory with %s, and its attempt %d is on %s with %s", aj.ID, plague.Size(least), at.Number, at.Builder, plague.Size(has))
		}
		if at.Outcome != string(plague.FailureMemory) {
			continue
		}
		if has >= r.Memory && !a.lies[aj.ID] {
			a.broken("4: attempt %d of arch job %d ran out of memory on %s with %s, and needs %s", at.Number, aj.ID, at.Builder, plague.Size(has), plague.Size(r.Memory))
		}
		short, least = short+1, has
	}
	if aj.Outgrew != "" {
		a.Seen["arch jobs that went to a larger machine"]++
	}
	switch {
	case short > 2:
		a.broken("1: arch job %d ran out of memory %d times in a run", aj.ID, short)
	case short == 2 && aj.State != plague.ArchFailed && aj.State != plague.ArchKilled:
		a.broken("1: arch job %d is %s, and ran out of memory twice", aj.ID, aj.State)
	}
	return nil
}
