package bench

import (
	"context"
	"fmt"
	"time"

	"plague"
	"plague/internal/wire"
)

const (
	rounds     = 60 // submissions of which each finds an idle farm
	burstJobs  = 100
	burstFarm  = 4
	chainRuns  = 15
	chainSteps = 3
	// restTime lets builders forget what they built, so that the next
	// submission finds the farm idle.
	restTime = 50 * time.Millisecond
)

// begun measures how long a job waits on an idle farm: from the call that
// submits it to the begin of its build.
func (b *Bench) begun(ctx context.Context) ([]Figure, error) {
	var figures []Figure
	for _, builders := range []int{1, 4} {
		var took steps
		err := b.with(ctx, Shape{Builders: builders}, func(f *Farm) (err error) {
			took, err = f.waits(ctx, rounds)
			return err
		})
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("submit to begun, idle farm, %s", plural(builders, "builder"))
		figures = append(figures,
			Figure{What: what + ": to arch jobs", Value: spread(took.queued), Unit: "ms", Note: "as a follower of the events sees it"},
			Figure{What: what, Value: spread(took.begun), Unit: "ms", Aim: "p50 15, p99 50", Peers: "Buildbot 90, OBS 520, Koji 22,000 or more"},
			Figure{What: what + ": to published", Value: spread(took.published), Unit: "ms", Note: "null buildroot, null repository"})
	}
	return figures, nil
}

// steps are how long jobs took from their submission on.
type steps struct{ queued, begun, published []time.Duration }

// waits submits one job after the other. The first few make connections and
// warm caches, and do not count.
func (f *Farm) waits(ctx context.Context, n int) (took steps, err error) {
	const warm = 3
	c, err := f.Client()
	if err != nil {
		return took, err
	}
	jobs, err := f.uploaded(ctx, "idle", n+warm)
	if err != nil {
		return took, err
	}
	w, err := f.watcher(ctx)
	if err != nil {
		return took, err
	}
	for i, job := range jobs {
		rest(ctx, restTime)
		at := time.Now()
		done, err := c.Submit(ctx, job)
		if err != nil {
			return took, err
		}
		end, err := w.published(ctx, done.UID)
		if err != nil {
			return took, err
		}
		began, err := f.begun(ctx, c, done.UID)
		if err != nil {
			return took, err
		}
		if i >= warm {
			took.queued, took.begun, took.published = append(took.queued, w.queued[done.UID].Sub(at)), append(took.begun, began.Sub(at)), append(took.published, end.Sub(at))
		}
	}
	return took, nil
}

// burst submits many jobs at once, over as many connections as the farm's users
// would have, and measures until the last has begun.
func (b *Bench) burst(ctx context.Context) ([]Figure, error) {
	value, note := map[string]float64{}, ""
	err := b.with(ctx, Shape{Builders: burstFarm}, func(f *Farm) error {
		if _, err := f.waits(ctx, 1); err != nil {
			return err
		}
		jobs, err := f.uploaded(ctx, "burst", burstJobs)
		if err != nil {
			return err
		}
		w, err := f.watcher(ctx)
		if err != nil {
			return err
		}
		before := f.cpu()
		at := time.Now()
		uids, _, err := f.submit(ctx, jobs, maxClients)
		if err != nil {
			return err
		}
		end, err := w.published(ctx, uids...)
		if err != nil {
			return err
		}
		note = f.cpuNote(before, burstJobs)
		last := at
		for _, uid := range uids {
			began, err := f.begun(ctx, w.client, uid)
			if err != nil {
				return err
			}
			if began.After(last) {
				last = began
			}
		}
		value["begun"], value["published"] = last.Sub(at).Seconds(), end.Sub(at).Seconds()
		return nil
	})
	return []Figure{{What: fmt.Sprintf("%d empty jobs at once, %d builders, until all have begun", burstJobs, burstFarm), Value: value, Unit: "s",
		Aim: "begun below 1", Peers: "Koji tuned 4.9, Buildbot 20, OBS 29", Note: note}}, err
}

// chain measures steps of which each waits until the one before is published.
func (b *Bench) chain(ctx context.Context) ([]Figure, error) {
	var times []time.Duration
	err := b.with(ctx, Shape{Builders: 1}, func(f *Farm) error {
		if _, err := f.waits(ctx, 1); err != nil {
			return err
		}
		jobs, err := f.uploaded(ctx, "chain", chainRuns*chainSteps)
		if err != nil {
			return err
		}
		w, err := f.watcher(ctx)
		if err != nil {
			return err
		}
		for ; len(jobs) > 0; jobs = jobs[chainSteps:] {
			rest(ctx, restTime)
			at := time.Now()
			end, err := oneByOne(ctx, w, jobs[:chainSteps])
			if err != nil {
				return err
			}
			times = append(times, end.Sub(at))
		}
		return nil
	})
	return []Figure{{What: fmt.Sprintf("%d dependent steps without work (build --after)", chainSteps), Value: spread(times), Unit: "ms",
		Aim: "150", Peers: "Koji 231,000, tuned 6,000", Note: "null buildroot, null repository"}}, err
}

// oneByOne submits each job after the one before, at once, and gives when the
// last was published.
func oneByOne(ctx context.Context, w *watcher, jobs []wire.Submission) (time.Time, error) {
	var before plague.JobID
	for _, job := range jobs {
		job.After = before
		done, err := w.client.Submit(ctx, job)
		if err != nil {
			return time.Time{}, err
		}
		before = done.UID
	}
	return w.published(ctx, before)
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
