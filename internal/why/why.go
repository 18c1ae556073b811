// Package why answers why a job is as it is: what it waits for and until when, who or
// what ended it. It reads and decides nothing; the command, the call, the page and the
// mail have their words from here.
package why

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"plague"
	"plague/internal/durable"
	"plague/internal/sched"
	"plague/internal/store"
)

// Asker answers. Its methods may be called from any goroutine.
type Asker struct {
	DB       *store.DB
	Results  *durable.Dir
	LogDir   func(plague.Job, plague.ArchJob) string // folder of an arch job's newest attempt in Results
	Item     func(store.QueueRow) sched.Item         // an arch job as the planner sees it
	Builders func() []string                         // those of the configuration

	mu   sync.Mutex // guards the field below; held while it is made
	last *picture
}

// Why answers for one job.
func (a *Asker) Why(ctx context.Context, uid plague.JobID) (plague.Why, error) {
	j, err := a.DB.Job(ctx, uid)
	if err != nil {
		return plague.Why{}, err
	}
	w := plague.Why{Job: uid, Run: j.Run, State: j.State}
	if w.Waits, err = a.waits(ctx, j); err != nil {
		return w, err
	}
	if j.State == plague.JobFailed {
		if w.Blames, err = a.Blames(ctx, j, j.Run); err != nil {
			return w, err
		}
	}
	w.Short, err = a.short(ctx, j, w)
	return w, err
}

// short is the answer in one sentence.
func (a *Asker) short(ctx context.Context, j plague.Job, w plague.Why) (string, error) {
	switch j.State {
	case plague.JobWaiting:
		return a.waiting(ctx, j)
	case plague.JobInitialize:
		return "its source is about to be fetched from the SCM", nil
	case plague.JobCheckout, plague.JobMakeSRPM, plague.JobBuilding:
		return goesOn(w.Waits), nil
	case plague.JobPrep:
		return fmt.Sprintf("since %s its SRPM is looked at and its repositories are pinned; if one is out of reach, the server's log names it", since(j.StateAt)), nil
	case plague.JobFinished:
		if j.Scratch {
			return "it is built; a scratch job is not published", nil
		}
		return "all its arches are built; it is about to be published", nil
	case plague.JobAddToRepo:
		return fmt.Sprintf("since %s it waits for the next snapshot of %s", since(j.StateAt), j.Target), nil
	case plague.JobRepoDone, plague.JobNeedSign:
		return fmt.Sprintf("it is published in snapshot %d of %s, and waits to be signed", j.Snapshot, j.Target), nil
	case plague.JobReleased:
		return fmt.Sprintf("it is published in snapshot %d of %s, and released", j.Snapshot, j.Target), nil
	case plague.JobKilled:
		return a.killed(ctx, j)
	}
	return "it failed: " + j.Reason, nil
}

func since(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// waiting says what holds up a job that has not begun.
func (a *Asker) waiting(ctx context.Context, j plague.Job) (string, error) {
	paused, by, err := a.DB.Paused(ctx)
	if err != nil {
		return "", err
	}
	if paused {
		return fmt.Sprintf("the farm is paused by %s: jobs that wait go on waiting", by), nil
	}
	if j.After == 0 {
		return "its turn comes within seconds, unless no server leads", nil
	}
	before, err := a.DB.Job(ctx, j.After)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("it waits until job %d (%s), which is %s, is published", before.UID, before.NVR(), before.State), nil
}

// killed says by whom and when.
func (a *Asker) killed(ctx context.Context, j plague.Job) (string, error) {
	es, err := a.DB.JobEvents(ctx, j.UID)
	if err != nil {
		return "", err
	}
	by := "somebody"
	for _, e := range es {
		if e.What == "job" && e.To == string(plague.JobKilled) && e.Who != "" {
			by = e.Who // of the newest run
		}
	}
	return fmt.Sprintf("killed by %s at %s", by, since(j.EndedAt)), nil
}

// goesOn says in one sentence how the arch jobs of a run are.
func goesOn(waits []plague.Wait) string {
	if len(waits) == 0 {
		return "all its arches have ended"
	}
	var texts []string
	for _, w := range waits {
		texts = append(texts, w.Arch+" "+w.Text)
	}
	return strings.Join(texts, "; ")
}
