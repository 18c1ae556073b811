package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
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
otherwise, and takes a connection that breaks up again where it was lost, however
long the server is away. An interrupt ends that with 0.

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
	for _, free := range []string{"since", "job", "limit"} {
		_ = c.RegisterFlagCompletionFunc(free, cobra.NoFileCompletions)
	}
	return c
}

func (f *eventsFlags) show(ctx context.Context, s Streams, c *client) error {
	if f.limit < 0 || f.job < 0 || f.since < -1 {
		return plague.Refuse(plague.ErrInvalid, "--since, --job and --limit are numbers above 0", "")
	}
	r := &eventReader{eventsFlags: *f, c: c, out: s.Out, screen: newScreen(s.Out)}
	r.since = max(0, f.since)
	if !f.follow {
		return r.all(ctx)
	}
	// The place is taken before the first connection can break. A server that was never
	// reached is told at once.
	now, err := c.Events(ctx, wire.EventsFilter{Since: cursorAtEnd, Limit: 1})
	if err != nil {
		return err
	}
	if f.since < 0 {
		r.since = int64(now.Next)
	}
	said := newScreen(s.Err)
	tries := patience{first: 200 * time.Millisecond, most: 15 * time.Second}
	err = tries.follow(ctx, func(format string, args ...any) { fmt.Fprintf(said, format+"\n", args...) }, func(up func()) (bool, error) {
		err := r.stream(ctx, up)
		if err == nil && !r.enough() {
			err = plague.Refuse(plague.ErrUnavailable, "the build server ended the stream", "")
		}
		return r.enough(), err
	})
	if ctx.Err() != nil {
		return nil // whoever interrupts a follower has seen enough
	}
	return err
}

// eventReader shows events as they come. since is the last that was shown.
type eventReader struct {
	eventsFlags
	c      *client
	out    io.Writer
	screen screen
	shown  int
}

func (r *eventReader) enough() bool { return r.limit > 0 && r.shown == r.limit }

// all reads answer after answer, which have a limit of their own, to the end.
func (r *eventReader) all(ctx context.Context) error {
	for before := -1; r.shown != before && !r.enough(); {
		before = r.shown
		if err := r.stream(ctx, func() {}); err != nil {
			return err
		}
	}
	return nil
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
	lines := bufio.NewReaderSize(resp.Body, maxEvent)
	for !r.enough() {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF): // what has no end of line was cut off, and comes again
			return nil
		case err != nil && ctx.Err() != nil && outer.Err() == nil:
			return fmt.Errorf("the server was silent for %s: %w", silent, io.ErrUnexpectedEOF)
		case err != nil:
			return err
		}
		watchdog.Reset(silent)
		if len(line) == 1 {
			continue // a sign of life
		}
		if err := r.line(line[:len(line)-1]); err != nil {
			return err
		}
	}
	return nil
}

// maxEvent bounds one event, in bytes.
const maxEvent = 1 << 20

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
