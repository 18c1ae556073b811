package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/wire"
)

// patience is how long jobs without work may take before the farm is said to be
// stuck.
const patience = 3 * time.Minute

// A watcher follows a farm's events from the moment it is made.
type watcher struct {
	client *Client
	since  plague.EventID
	queued map[plague.JobID]time.Time // when an arch job of it was first seen
}

func (f *Farm) watcher(ctx context.Context) (*watcher, error) {
	c, err := f.Client()
	if err != nil {
		return nil, err
	}
	w := &watcher{client: c, queued: map[plague.JobID]time.Time{}}
	for {
		e, err := c.Events(ctx, wire.EventsFilter{Since: w.since, Limit: 1000})
		if err != nil {
			return nil, err
		}
		w.since = e.Next
		if len(e.Events) < 1000 {
			return w, nil
		}
	}
}

// published waits until all jobs rest in needsign and gives when the last was
// seen there. A job that fails or is killed is an error.
func (w *watcher) published(ctx context.Context, jobs ...plague.JobID) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	open := map[plague.JobID]bool{}
	for _, uid := range jobs {
		open[uid] = true
	}
	for {
		got, err := w.client.Events(ctx, wire.EventsFilter{Since: w.since, Limit: 1000, Wait: 20 * time.Second})
		if err != nil {
			return time.Time{}, fmt.Errorf("%d jobs are not published yet: %w", len(open), err)
		}
		now := time.Now()
		w.since = got.Next
		for _, e := range got.Events {
			switch to := plague.JobState(e.To); {
			case e.What == "arch_job" && e.From == "":
				w.queued[e.Job] = now
			case e.What != "job" || !open[e.Job]:
			case to == plague.JobNeedSign:
				delete(open, e.Job)
			case to == plague.JobFailed || to == plague.JobKilled:
				return now, fmt.Errorf("job %d is %s: %s", e.Job, to, e.Text)
			}
		}
		if len(open) == 0 {
			return now, nil
		}
	}
}

// begun tells when the build of a published job began, by the builder's own
// clock, which is this machine's.
func (f *Farm) begun(ctx context.Context, c *Client, uid plague.JobID) (time.Time, error) {
	j, err := c.Job(ctx, uid)
	if err != nil {
		return time.Time{}, err
	}
	log, err := os.Open(filepath.Join(f.Results, j.Results, f.Arch, "job.log"))
	if err != nil {
		return time.Time{}, err
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), buildroot.NullBegun); ok {
			return time.Parse(time.RFC3339Nano, at)
		}
	}
	return time.Time{}, fmt.Errorf("job %d: its log does not say when it began: %w", uid, lines.Err())
}
