package farmtest

import (
	"fmt"
	"slices"

	"plague"
	"plague/internal/store"
)

// audit holds the farm at rest against the invariants of the design. Their
// numbers begin each message.
func (w *World) audit() {
	db, err := store.Open(w.ctx, w.database(), store.Options{})
	if err != nil {
		w.broken("6: %v", err)
		return
	}
	defer db.Close()
	a := &audit{World: w, db: db}
	for _, check := range []func() error{a.jobs, a.repositories, a.machinesAtRest, a.refusals, a.mails} {
		if err := check(); err != nil {
			w.broken("6: %v", err)
		}
	}
}

// audit is one look at everything.
type audit struct {
	*World
	db *store.DB
}

func (a *audit) jobs() error {
	a.Seen["arch jobs lied about"] = len(a.lies)
	jobs, err := everyJob(a.ctx, a.db)
	if err != nil {
		return err
	}
	counts := map[plague.JobState]int64{}
	for _, j := range jobs {
		counts[j.State]++
		if err := a.job(j); err != nil {
			return err
		}
	}
	kept, err := a.db.Counts(a.ctx)
	if err != nil {
		return err
	}
	for _, state := range plague.JobStates() {
		a.Seen["jobs "+string(state)] += int(counts[state])
		if kept[state] != counts[state] {
			a.broken("1: the store counts %d jobs as %s, there are %d", kept[state], state, counts[state])
		}
	}
	return nil
}

// job checks one job: its history, its arch jobs, and that it ended as it had
// to.
func (a *audit) job(j plague.Job) error {
	if err := a.history(j); err != nil {
		return err
	}
	j = a.versioned(j)
	arches, err := a.db.ArchJobs(a.ctx, j.UID, j.Run)
	if err != nil {
		return err
	}
	for _, aj := range arches {
		if !aj.State.Final() {
			a.broken("1: job %d rests as %s, its arch job %d for %s is %s", j.UID, j.State, aj.ID, aj.Arch, aj.State)
		}
		if j.State.Published() && aj.State != plague.ArchDone {
			a.broken("3: job %d is %s, its arch job for %s is %s", j.UID, j.State, aj.Arch, aj.State)
		}
		if err := a.attempts(j, aj); err != nil {
			return err
		}
	}
	if err := a.files(j, arches); err != nil {
		return err
	}
	return a.verdict(j, arches)
}

// history walks the events of a job: each transition is legal, and follows the
// one before.
func (a *audit) history(j plague.Job) error {
	events, err := a.db.JobEvents(a.ctx, j.UID)
	if err != nil {
		return err
	}
	state := plague.JobState("")
	arch := map[plague.ArchJobID]plague.ArchState{}
	for _, e := range events {
		switch {
		case e.What == "arch_job" || e.ArchJob != 0 && e.To != "":
			from, to := plague.ArchState(e.From), plague.ArchState(e.To)
			if from != arch[e.ArchJob] || from != "" && !from.CanBecome(to) || from == "" && to != plague.ArchQueued {
				a.broken("2: job %d, arch job %d was %q, the event says %q to %q", j.UID, e.ArchJob, arch[e.ArchJob], from, to)
			}
			arch[e.ArchJob] = to
		case e.What == "job" || e.What == "submitted":
			from, to := plague.JobState(e.From), plague.JobState(e.To)
			if from == "" && to == "" {
				to = plague.JobWaiting
			}
			begins := from == "" && to == plague.JobWaiting || from.Requeueable() && to == plague.JobWaiting
			if from != state || !begins && !from.CanBecome(to) {
				a.broken("1: job %d was %q, the event says %q to %q", j.UID, state, from, to)
			}
			state = to
			if to == plague.JobKilled {
				a.killer(j, e.Who)
			}
		}
	}
	if state != j.State {
		a.broken("1: job %d is %s, its events say %s", j.UID, j.State, state)
	}
	return nil
}

// killer checks that whoever killed a job might.
func (a *audit) killer(j plague.Job, who string) {
	at := slices.IndexFunc(users(), func(u plague.User) bool { return u.Email == who })
	if at < 0 || !users()[at].Can(plague.KillAnyJob) && (who != j.User || !users()[at].Can(plague.OwnJobs)) {
		a.broken("5: %s killed job %d of %s", who, j.UID, j.User)
	}
}

// circles is more attempts than budgets, and a builder that refuses for as long
// as its disk may be full, can cost.
const circles = 80

// attempts checks the numbers of one arch job, and what the machines know.
func (a *audit) attempts(j plague.Job, aj plague.ArchJob) error {
	all, err := a.db.Attempts(a.ctx, aj.ID)
	if err != nil {
		return err
	}
	tokens, done := map[string]bool{}, 0
	for i, at := range all {
		if at.Number != i+1 || tokens[at.Token] {
			a.broken("2: arch job %d has attempt %d (%s) at place %d", aj.ID, at.Number, at.Token, i+1)
		}
		tokens[at.Token] = true
		if at.EndedAt.IsZero() || at.Outcome == "" {
			a.broken("1: job %d, attempt %d of arch job %d has not ended", j.UID, at.Number, aj.ID)
		}
		a.Seen["attempts "+at.Outcome]++
		if at.Outcome == "done" {
			done++
		}
	}
	if len(all) > circles {
		a.broken("1: arch job %d took %d attempts: it goes round in circles", aj.ID, len(all))
	}
	if aj.Attempt != len(all) {
		a.broken("2: arch job %d is at attempt %d of %d", aj.ID, aj.Attempt, len(all))
	}
	if accepted := aj.State == plague.ArchDone; done > 1 || accepted != (done == 1) {
		a.broken("2: arch job %d (%s) has %d attempts that were accepted", aj.ID, aj.State, done)
	}
	return nil
}

// machinesAtRest checks what builders keep: nothing, and nothing was ever begun
// twice.
func (a *audit) machinesAtRest() error {
	for _, m := range a.machines {
		for dir, n := range m.starts {
			if n > 1 {
				a.broken("6: %d supervisors began in %s", n, dir)
			}
		}
		if left := m.supervised(); len(left) > 0 {
			a.broken("6: on %s there are still supervisors of %v", m.name, left)
		}
		if kept := m.kept(); len(kept) > 0 {
			a.broken("6: %v", kept)
		}
	}
	held, err := a.db.Held(a.ctx, "")
	if err != nil || len(held) == 0 {
		return err
	}
	return fmt.Errorf("%d arch jobs are still held", len(held))
}
