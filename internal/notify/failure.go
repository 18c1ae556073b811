package notify

import (
	"context"
	"slices"

	"plague"
)

// failedArch is what a mail says of one arch that failed.
type failedArch struct {
	plague.Blame
	Log string // address of its logs
}

// failedArches are the arch jobs that failed in the run that an event ended.
func (n *Notifier) failedArches(ctx context.Context, j plague.Job, e plague.Event) ([]failedArch, error) {
	run, err := n.runOf(ctx, e)
	if err != nil {
		return nil, err
	}
	blames, err := n.Why.Blames(ctx, j, run)
	var failed []failedArch
	for _, b := range blames {
		f := failedArch{Blame: b}
		if b.Logs != "" {
			f.Log = n.url(b.Logs) + "/"
		}
		failed = append(failed, f)
	}
	return failed, err
}

// anyFailed says whether an arch job was not done in the run that an event ended:
// such a job is finished for an instant, and then failed.
func (n *Notifier) anyFailed(ctx context.Context, j plague.Job, e plague.Event) (bool, error) {
	run, err := n.runOf(ctx, e)
	if err != nil {
		return false, err
	}
	as, err := n.DB.ArchJobs(ctx, j.UID, run)
	return slices.ContainsFunc(as, func(a plague.ArchJob) bool { return a.State != plague.ArchDone }), err
}

// runOf counts the run of a job that an event belongs to: the job may have been
// requeued since.
func (n *Notifier) runOf(ctx context.Context, of plague.Event) (int, error) {
	es, err := n.DB.JobEvents(ctx, of.Job)
	run := 1
	for _, e := range es {
		if e.ID < of.ID && e.What == "job" && e.From != "" && e.To == string(plague.JobWaiting) {
			run++
		}
	}
	return run, err
}
