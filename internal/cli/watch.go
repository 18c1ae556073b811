package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

// Exit codes of watch beside those of the kinds of error.
const (
	exitFailed exitCode = 10
	exitKilled exitCode = 11
)

// watchFlags say what a watcher shows.
type watchFlags struct {
	stateOnly bool
	json      bool
}

func watchCommand(s Streams) *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch uid...",
		Short: "follow jobs and their logs to the end",
		Long: `Follow jobs until the farm has nothing more to do for them. Changes of state go
to standard error, build.log goes to standard output as it grows, with the arch
in front when there are several. A connection that breaks is taken up again
where it was lost.

The exit code tells how it ended: 10 when one of the jobs failed, else 11 when
one was killed, else 0.

` + exitCodes,
		Example: `  plague-client watch 12
  plague-client watch --json 12 13 | jq .to`,
		Args: cobra.MinimumNArgs(1),
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			uids, err := jobIDs(args)
			if err != nil {
				return err
			}
			return watchJobs(ctx, s, c, f, uids)
		}),
	}
	c.Flags().BoolVar(&f.stateOnly, "state-only", false, "show no logs")
	c.Flags().BoolVar(&f.json, "json", false, "show the events as lines of JSON on standard output, and no logs")
	return c
}

const (
	eventWait   = 20 * time.Second // how long one call waits for news
	maxWatched  = 1000             // jobs at a time
	logsLinger  = 30 * time.Second // how long the rest of the logs may take after the end
	serverAway  = 15 * time.Minute // how long a server that has answered may be away
	cursorAtEnd = plague.EventID(-1)
)

// watcher follows jobs. Its loop owns the fields; the log followers have only
// the line writer in common, which has its own lock.
type watcher struct {
	c     *client
	s     Streams
	flags watchFlags
	lines *lineWriter
	err   screen
	one   bool // a single job is watched

	jobs      map[plague.JobID]*wire.JobRecord
	shown     map[plague.JobID]string // state that was shown last
	following map[plague.ArchJobID]bool
	logs      sync.WaitGroup
}

// watchJobs follows jobs until all rest, and gives the outcome as exit code.
func watchJobs(ctx context.Context, s Streams, c *client, flags watchFlags, uids []plague.JobID) error {
	slices.Sort(uids)
	uids = slices.Compact(uids)
	if len(uids) > maxWatched {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%d jobs are too many to watch at a time, the limit is %d", len(uids), maxWatched), "")
	}
	w := &watcher{
		c: c, s: s, flags: flags, lines: newLineWriter(s.Out), err: newScreen(s.Err), one: len(uids) == 1,
		jobs: map[plague.JobID]*wire.JobRecord{}, shown: map[plague.JobID]string{}, following: map[plague.ArchJobID]bool{},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer w.logs.Wait()
	defer cancel()
	if err := w.loop(ctx, uids); err != nil {
		return err
	}
	linger := time.AfterFunc(logsLinger, cancel)
	defer linger.Stop()
	w.logs.Wait()
	return w.outcome(uids)
}

// loop waits for events until every job rests. The place in the stream of
// events is taken before the jobs are read, so that nothing falls between.
func (w *watcher) loop(ctx context.Context, uids []plague.JobID) error {
	from, err := w.c.Events(ctx, wire.EventsFilter{Since: cursorAtEnd, Limit: 1})
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if err := w.refresh(ctx, uid); err != nil {
			return fmt.Errorf("job %d: %w", uid, err)
		}
		w.state(uid, w.jobs[uid].Status, "")
	}
	if w.allRest() {
		return nil
	}
	cursor := from.Next
	tries := patience{first: 500 * time.Millisecond, most: 15 * time.Second, limit: serverAway}
	return tries.follow(ctx, w.say, func(up func()) (bool, error) {
		next, err := w.step(ctx, uids, cursor)
		if err != nil {
			return false, err
		}
		up()
		cursor = next
		return w.allRest(), nil
	})
}

// step waits for news once, and shows them.
func (w *watcher) step(ctx context.Context, uids []plague.JobID, cursor plague.EventID) (plague.EventID, error) {
	filter := wire.EventsFilter{Since: cursor, Wait: eventWait, Limit: 1000}
	if w.one {
		filter.Job = uids[0]
	}
	news, err := w.c.Events(ctx, filter)
	if err != nil {
		return cursor, err
	}
	changed := map[plague.JobID]bool{}
	for _, e := range news.Events {
		changed[e.Job] = changed[e.Job] || w.jobs[e.Job] != nil
	}
	if len(news.Events) == 0 {
		for _, uid := range uids { // nothing came in time: look, should an event have been lost
			changed[uid] = !w.jobs[uid].Resting
		}
	}
	for uid, is := range changed {
		if is {
			if err := w.refresh(ctx, uid); err != nil {
				return cursor, err
			}
		}
	}
	for _, e := range news.Events {
		if changed[e.Job] {
			w.event(e)
		}
	}
	for uid, is := range changed {
		if is {
			w.state(uid, w.jobs[uid].Status, "")
		}
	}
	return news.Next, nil
}

// refresh reads a job, and follows the logs that have begun.
func (w *watcher) refresh(ctx context.Context, uid plague.JobID) error {
	j, err := w.c.Job(ctx, uid)
	if err != nil {
		return err
	}
	w.jobs[uid] = &j
	if w.flags.stateOnly || w.flags.json {
		return nil
	}
	for _, a := range j.Archjobs {
		if a.Attempt > 0 && !w.following[a.Jobid] {
			w.following[a.Jobid] = true
			f := &logFollower{c: w.c, out: w.lines, uid: uid, arch: a.Arch, prefix: w.prefix(j, a.Arch)}
			w.logs.Go(func() {
				if err := f.follow(ctx); err != nil && ctx.Err() == nil {
					w.lines.say(w.s.Err, fmt.Sprintf("job %d: the log of %s: %s\n", uid, oneLine(a.Arch), oneLine(err.Error())))
				}
			})
		}
	}
	return nil
}

// prefix tells logs apart when there is more than one.
func (w *watcher) prefix(j wire.JobRecord, arch string) string {
	switch {
	case !w.one:
		return fmt.Sprintf("[%d %s] ", j.Uid, oneLine(arch))
	case len(j.Archjobs) > 1:
		return fmt.Sprintf("[%s] ", oneLine(arch))
	}
	return ""
}
