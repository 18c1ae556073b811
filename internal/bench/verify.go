package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"plague"
	"plague/internal/server"
	"plague/internal/store"
)

// verifier holds a farm at rest against the invariants of the design, by its database,
// its files and what the builders know.
type verifier struct {
	*loaded
	db     *store.DB
	done   map[plague.ArchJobID]int // how often an event says that it is done
	starts []time.Duration
	broken []error
}

// mostTold bounds the answer: who lost one job may have lost a thousand.
const mostTold = 20

func (v *verifier) breaks(format string, args ...any) {
	if len(v.broken) < mostTold {
		v.broken = append(v.broken, fmt.Errorf("invariant broken: "+format, args...))
	}
}

// verify gives how long each job waited for its start.
func (l *loaded) verify(ctx context.Context) ([]time.Duration, error) {
	db, err := store.Open(ctx, l.Database, store.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	v := &verifier{loaded: l, db: db, done: map[plague.ArchJobID]int{}}
	if err := v.events(ctx); err != nil {
		return nil, err
	}
	if err := v.jobs(ctx); err != nil {
		return nil, err
	}
	return v.starts, errors.Join(v.broken...)
}

func (v *verifier) events(ctx context.Context) error {
	const page = 1000
	var last plague.EventID
	for {
		all, err := v.db.Events(ctx, last, page)
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.ID <= last {
				v.breaks("event %d comes after %d", e.ID, last)
			}
			last = e.ID
			if e.What == "arch_job" && e.To == string(plague.ArchDone) {
				v.done[e.ArchJob]++
			}
		}
		if len(all) < page {
			return nil
		}
	}
}

func (v *verifier) jobs(ctx context.Context) error {
	const page = 1000
	f := store.Filter{Oldest: true, Limit: page}
	seen := 0
	for {
		all, err := v.db.Jobs(ctx, f)
		if err != nil {
			return err
		}
		for _, j := range all {
			if err := v.job(ctx, j); err != nil {
				return err
			}
		}
		seen += len(all)
		if len(all) < page {
			break
		}
		f.After = all[len(all)-1].UID
	}
	if seen != len(v.submitted) || seen != v.Jobs+v.Load.Published {
		v.breaks("the store has %d jobs, %d were submitted and answered, of %d", seen, len(v.submitted), v.Jobs+v.Load.Published)
	}
	return nil
}

func (v *verifier) job(ctx context.Context, j plague.Job) error {
	want := plague.JobNeedSign
	if j.Scratch {
		want = plague.JobFinished
	}
	if j.State != want {
		v.breaks("job %d rests as %s, not %s: %s", j.UID, j.State, want, j.Reason)
	}
	arches, err := v.db.ArchJobs(ctx, j.UID, j.Run)
	if err != nil {
		return err
	}
	if len(arches) != 1 {
		v.breaks("job %d has %d arch jobs", j.UID, len(arches))
	}
	for _, a := range arches {
		if err := v.archJob(ctx, a); err != nil {
			return err
		}
		if at := v.ledger.first(a.ID); !at.IsZero() {
			v.starts = append(v.starts, at.Sub(v.submitted[j.UID]))
		}
	}
	return v.files(ctx, j)
}

// archJob holds an arch job against its attempts: one was accepted, of the builder that
// had begun it, and none is open.
func (v *verifier) archJob(ctx context.Context, a plague.ArchJob) error {
	if a.State != plague.ArchDone || v.done[a.ID] != 1 {
		v.breaks("arch job %d of job %d is %s and was done %d times", a.ID, a.Job, a.State, v.done[a.ID])
	}
	attempts, err := v.db.Attempts(ctx, a.ID)
	if err != nil {
		return err
	}
	accepted := 0
	for i, at := range attempts {
		if at.Number != i+1 || at.EndedAt.IsZero() || at.Outcome == "" {
			v.breaks("attempt %d of arch job %d is open, or not the %d.", at.Number, a.ID, i+1)
		}
		if at.Outcome != "done" {
			continue
		}
		accepted++
		if !v.ledger.has(at.AttemptID, at.Builder) {
			v.breaks("attempt %d of arch job %d was accepted of %s, which never began it", at.Number, a.ID, at.Builder)
		}
	}
	if accepted != 1 {
		v.breaks("arch job %d has %d accepted attempts", a.ID, accepted)
	}
	return nil
}

// files holds the result tree against the store: its digests were checked when the
// files came.
func (v *verifier) files(ctx context.Context, j plague.Job) error {
	files, err := v.db.Files(ctx, j.UID, j.Run)
	if err != nil {
		return err
	}
	rpms := 0
	for _, f := range files {
		if f.RPM != nil {
			rpms++
		}
		info, err := os.Stat(filepath.Join(v.Results, server.ResultDir(j), f.Arch, f.Name))
		if err != nil || info.Size() != f.Size {
			v.breaks("job %d: %s/%s is not in the result tree: %v", j.UID, f.Arch, f.Name, err)
		}
	}
	if rpms == 0 {
		v.breaks("job %d left no RPM", j.UID)
	}
	return nil
}
