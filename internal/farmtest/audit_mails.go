package farmtest

import (
	"context"
	"fmt"
	"slices"

	"plague"
	"plague/internal/store"
)

// due are the mails to its user that a job's events call for.
func due(ctx context.Context, db *store.DB, j plague.Job) (all []letter, err error) {
	events, err := db.JobEvents(ctx, j.UID)
	for i, e := range events {
		to := plague.JobState(e.To)
		// A run that failed is finished for an instant: a success nobody is to hear of.
		fails := i+1 < len(events) && events[i+1].To == string(plague.JobFailed)
		ended := to == plague.JobNeedSign || to == plague.JobFailed || to == plague.JobKilled && e.Who != j.User || to == plague.JobFinished && j.Scratch && !fails
		if e.What == "job" && ended {
			all = append(all, letter{fmt.Sprint(e.ID), j.User})
		}
	}
	return all, err
}

// unsent lists the mails that are not made, or not accepted, yet.
func (w *World) unsent(db *store.DB) (waiting []string, err error) {
	made, err := outbox(w.ctx, db)
	if err != nil {
		return nil, err
	}
	for l, m := range made {
		if m.EndedAt.IsZero() {
			waiting = append(waiting, fmt.Sprintf("the mail to %s about event %s (%d tries, %s)", l.to, l.event, m.Tries, m.Error))
		}
	}
	jobs, err := everyJob(w.ctx, db)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		letters, err := due(w.ctx, db, j)
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			if _, there := made[l]; !there {
				waiting = append(waiting, fmt.Sprintf("a mail to %s about event %s of job %d", l.to, l.event, j.UID))
			}
		}
	}
	events, err := db.Events(w.ctx, 0, maxEvents)
	for _, e := range events {
		if _, there := made[letter{fmt.Sprint(e.ID), e.Who}]; e.What == "refused" && !there {
			waiting = append(waiting, fmt.Sprintf("a mail to %s about event %d: %s", e.Who, e.ID, e.Text))
		}
	}
	return waiting, err
}

func outbox(ctx context.Context, db *store.DB) (map[letter]store.Message, error) {
	all, err := db.Outbox(ctx, false, 1000)
	made := map[letter]store.Message{}
	for _, m := range all {
		made[letter{fmt.Sprint(m.Event), m.To}] = m
	}
	return made, err
}

// mails checks that the mail server has what the outbox says that it has, and nothing
// else.
func (a *audit) mails() error {
	made, err := outbox(a.ctx, a.db)
	if err != nil {
		return err
	}
	for l, m := range made {
		a.Seen["mails "+m.Outcome]++
		n := a.office.received(l)
		if (m.Outcome == "sent") != (n > 0) && m.Outcome != "given up" {
			a.broken("1: the mail to %s about event %s is %q, and came %d times", l.to, l.event, m.Outcome, n)
		}
		if n > 1 {
			a.Seen["mails that came again"]++
		}
	}
	for _, l := range a.office.letters() {
		if _, there := made[l]; !there {
			a.broken("1: nobody wrote the mail to %s about event %s that came", l.to, l.event)
		}
	}
	return a.idle(made)
}

// idle looks for mails about jobs that their users were not to get.
func (a *audit) idle(made map[letter]store.Message) error {
	jobs, err := everyJob(a.ctx, a.db)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		wanted, err := due(a.ctx, a.db, j)
		if err != nil {
			return err
		}
		events, err := a.db.JobEvents(a.ctx, j.UID)
		if err != nil {
			return err
		}
		for _, e := range events {
			l := letter{fmt.Sprint(e.ID), j.User}
			if m, there := made[l]; e.What == "job" && there && !slices.Contains(wanted, l) {
				a.broken("1: %s got a mail too many about event %s of job %d: %s", l.to, l.event, j.UID, m.Subject)
			}
		}
	}
	return nil
}
