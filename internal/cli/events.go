package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

// eventsFlags say which events are shown, and how.
type eventsFlags struct {
	follow bool
	since  int64
	job    int64
	limit  int
	json   bool
}

func eventsCommand(s Streams) *cobra.Command {
	f := eventsFlags{}
	c := &cobra.Command{
		Use:   "events",
		Short: "show what happened, and what happens",
		Long: `Show the events of the farm in their order: every transition of jobs, arch jobs and
builders, and every act of a user. Each has a number; with --since and the last one
that was seen, nothing is missed and nothing shown twice, however long one was away.
With --follow it goes on with what happens, from now on if --since does not say
otherwise, and takes a connection that breaks up again where it was lost.

Any user of the farm may read them.

` + exitCodes,
		Example: `  plague events --job 12
  plague events --follow --since 4711 --json | jq .text`,
		Args: cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error { return f.show(ctx, s, c) }),
	}
	flags := c.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what happens")
	flags.Int64Var(&f.since, "since", -1, "only what came after the event of this `number`")
	flags.Int64Var(&f.job, "job", 0, "only events of the job with this `uid`")
	flags.IntVar(&f.limit, "limit", 0, "end after `n` of them")
	flags.BoolVar(&f.json, "json", false, "show lines of JSON")
	return c
}

func (f *eventsFlags) show(ctx context.Context, s Streams, c *client) error {
	if f.limit < 0 || f.job < 0 || f.since < -1 {
		return plague.Refuse(plague.ErrInvalid, "--since, --job and --limit are numbers above 0", "")
	}
	r := &eventReader{eventsFlags: *f, c: c, out: s.Out, screen: newScreen(s.Out), err: newScreen(s.Err)}
	if f.since < 0 {
		r.since = 0
		if f.follow { // what happens from now on: the place is taken before the first connection can break
			now, err := c.Events(ctx, wire.EventsFilter{Since: cursorAtEnd, Limit: 1})
			if err != nil {
				return err
			}
			r.since = int64(now.Next)
		}
	}
	return r.run(ctx)
}

// eventReader shows events as they come. since is the last that was shown.
type eventReader struct {
	eventsFlags
	c           *client
	out         interface{ Write([]byte) (int, error) }
	screen, err screen
	shown       int
}

// run reads stream after stream until there is no more to show.
func (r *eventReader) run(ctx context.Context) error {
	tries := patience{first: 200 * time.Millisecond, most: 15 * time.Second, limit: serverAway}
	for {
		before := r.shown
		err := r.stream(ctx, func() {
			if tries.spent > 0 {
				fmt.Fprintln(r.err, "the build server answers again")
			}
			tries.reset()
		})
		switch {
		case r.limit > 0 && r.shown == r.limit:
			return nil
		case err == nil && !r.follow && r.shown == before:
			return nil // there is no more
		case err == nil && !r.follow:
			continue // an answer has a limit of its own
		case err != nil && (ctx.Err() != nil || !passing(err)):
			return err
		}
		if tries.spent == 0 && err != nil {
			fmt.Fprintf(r.err, "the connection to the build server is lost, trying again: %s\n", oneLine(err.Error()))
		}
		if !tries.wait(ctx) {
			return err
		}
	}
}

// silent is how long a follower may hear nothing: the server gives a sign of life every
// 15 seconds.
const silent = time.Minute

// stream shows what one answer has; up is called when there is one.
func (r *eventReader) stream(outer context.Context, up func()) error {
	ctx, cut := context.WithCancel(outer)
	defer cut()
	watchdog := time.AfterFunc(silent, cut)
	defer watchdog.Stop()
	q := url.Values{"since": {strconv.FormatInt(r.since, 10)}}
	if r.job > 0 {
		q.Set("job", strconv.FormatInt(r.job, 10))
	}
	if r.follow {
		q.Set("follow", "1")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.c.cfg.address+wire.EventsPath+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := r.c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil {
		return err
	}
	up()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		watchdog.Reset(silent)
		if len(lines.Bytes()) == 0 {
			continue // a sign of life
		}
		if err := r.line(lines.Bytes()); err != nil || r.limit > 0 && r.shown == r.limit {
			return err
		}
	}
	if ctx.Err() != nil && outer.Err() == nil {
		return fmt.Errorf("the server was silent for %s: %w", silent, io.ErrUnexpectedEOF)
	}
	return lines.Err()
}

// line shows one event, unless it was shown.
func (r *eventReader) line(text []byte) error {
	var e struct {
		ID       int64
		At       time.Time
		What     string
		Job      plague.JobID
		From, To string
		Who      string
		Text     string
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("an event that is none: %w", err)
	}
	if e.ID <= r.since {
		return nil
	}
	r.since = e.ID
	r.shown++
	if r.json {
		_, err := fmt.Fprintf(r.out, "%s\n", text)
		return err
	}
	job, change := "", e.To
	if e.Job != 0 {
		job = fmt.Sprintf("job %d", e.Job)
	}
	if e.From != "" {
		change = e.From + " > " + e.To
	}
	_, err := fmt.Fprintf(r.screen, "%d %s %-9s %-9s %-22s %s\n", e.ID, when(e.At.Unix()), oneLine(e.What), job, oneLine(change), oneLine(join(e.Who, e.Text)))
	return err
}

func join(who, text string) string {
	if who == "" || text == "" {
		return who + text
	}
	return who + ": " + text
}
