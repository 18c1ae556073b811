package notify

import (
	"context"

	"plague"
)

// failedArch is what a mail says of one arch that failed.
type failedArch struct {
	plague.Blame
	Log string // address of its logs
}

// failedArches are the arch jobs that failed in the run that an event ended.
func (n *Notifier) failedArches(ctx context.Context, j plague.Job, e plague.Event) ([]failedArch, error) {
	es, err := n.DB.JobEvents(ctx, j.UID)
	if err != nil {
		return nil, err
	}
	blames, err := n.Why.Blames(ctx, j, runOf(es, e.ID)) // the job may have been requeued since
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

// runOf counts the run of a job that an event belongs to.
func runOf(es []plague.Event, id plague.EventID) int {
	run := 1
	for _, e := range es {
		if e.ID < id && e.What == "job" && e.From != "" && e.To == string(plague.JobWaiting) {
			run++
		}
	}
	return run
}
