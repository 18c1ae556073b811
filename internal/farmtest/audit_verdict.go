package farmtest

import (
	"strings"

	"plague"
)

// verdict says whether a job ended as its recipe and its users had it.
func (a *audit) verdict(j plague.Job, arches []plague.ArchJob) error {
	if a.untagged(j) {
		if j.State != plague.JobFailed && j.State != plague.JobKilled {
			a.broken("4: job %d is %s, and there is no tag %s", j.UID, j.State, j.Source)
		}
		return nil
	}
	if !strings.HasSuffix(j.Source, ".src.rpm") {
		a.Seen["tags "+string(j.State)]++
	}
	r, ok := a.recipe(j.NVR())
	if !ok {
		a.broken("4: nobody ever made %s of job %d", j.NVR(), j.UID)
		return nil
	}
	var cannot []string
	excused := false
	for _, aj := range arches {
		if r.Fails == "*" || r.Fails == aj.Arch || r.Fails != "" && aj.Arch == "noarch" || r.Hangs {
			cannot = append(cannot, aj.Arch)
		}
		if r.Memory > a.mostMemory(aj) {
			cannot = append(cannot, aj.Arch)
		}
		if err := a.outgrown(aj, r); err != nil {
			return err
		}
		excused = excused || aj.FailureKind == plague.FailureMemory // outgrown has looked at it
		if r.Infra >= a.options.InfraBudget {
			cannot = append(cannot, aj.Arch)
		}
		excused = excused || a.lies[aj.ID] || aj.Infra >= a.options.InfraBudget || aj.Lost >= a.options.LostBudget
	}
	switch {
	case j.State == plague.JobKilled:
	case j.State != plague.JobFailed && len(cannot) > 0 && r.Fails != "aarch64":
		a.broken("4: job %d is %s, and %s cannot be built for %v", j.UID, j.State, j.NVR(), cannot)
	case j.State != plague.JobFailed || len(cannot) > 0 || excused:
	case j.After != 0 && strings.Contains(j.Reason, "waits for"):
		return a.doomed(j)
	case strings.Contains(j.Reason, " already ("):
		return a.twice(j)
	case strings.Contains(j.Reason, "already in the repository"):
		return a.collides(j, r)
	default:
		a.broken("1: job %d (%s) failed for no good reason: %s", j.UID, j.NVR(), j.Reason)
	}
	return nil
}

// doomed checks that the job before had failed when this one did, or is one that
// publishes nothing. A requeue may have made it good since.
func (a *audit) doomed(j plague.Job) error {
	before, err := a.db.Job(a.ctx, j.After)
	if err != nil {
		return err
	}
	events, err := a.db.JobEvents(a.ctx, j.After)
	if err != nil {
		return err
	}
	var then plague.JobState
	for _, e := range events {
		if e.What == "job" && !e.At.After(j.EndedAt) {
			then = plague.JobState(e.To)
		}
	}
	if then != plague.JobFailed && then != plague.JobKilled && !before.Scratch {
		a.broken("1: job %d failed because of job %d, which was %q then", j.UID, before.UID, then)
	}
	return nil
}

// twice checks that another job has, or had, the version that a tag turned out to be.
func (a *audit) twice(j plague.Job) error {
	jobs, err := everyJob(a.ctx, a.db)
	if err != nil {
		return err
	}
	for _, other := range jobs {
		if other.UID != j.UID && !other.Scratch && other.Target == j.Target && other.NVR() == j.NVR() {
			return nil
		}
	}
	a.broken("8: job %d failed because %s, and there is no other", j.UID, j.Reason)
	return nil
}

// collides checks that another job has published a file of the same name, though it
// be retired since.
func (a *audit) collides(j plague.Job, r Recipe) error {
	n, err := a.db.Current(a.ctx, j.Target, plague.LineBuild)
	for ; err == nil && n > 0; n-- {
		var members []plague.RepoRPM
		members, err = a.db.Members(a.ctx, j.Target, plague.LineBuild, n)
		for _, m := range members {
			for name := range r.names(j, m.Arch) {
				if m.Job != j.UID && m.File.Name == name {
					return nil
				}
			}
		}
	}
	if err != nil {
		return err
	}
	a.broken("3: job %d failed because %s, and nothing was there that has its files", j.UID, j.Reason)
	return nil
}

// names are the files that a job's recipe makes on an arch.
func (r Recipe) names(j plague.Job, arch string) map[string]bool {
	names := map[string]bool{}
	if arch == plague.ArchSource {
		names[j.NVR()+".src.rpm"] = true
		return names
	}
	for _, n := range r.makes(nevra(j), arch) {
		names[n.Filename()] = true
	}
	return names
}
