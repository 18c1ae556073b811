// Package notify tells people and programs what has happened on the farm:
// mails from an outbox, webhooks, and the stream of events. All of it is read
// from the store's events behind a cursor; nobody who makes an event knows who
// will hear of it.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"text/template"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/why"

	"golang.org/x/sync/errgroup"
)

// Options are times. The zero value works.
type Options struct {
	Tick    time.Duration // how long a lost wake-up can matter; default 5s
	Gather  time.Duration // how long events are gathered before mails are made of them; default 1s
	Lease   time.Duration // how long a silent server keeps what it was sending; default 5m
	Timeout time.Duration // of each step with a mail server, and of one delivery to a hook; default 30s
	Retry   time.Duration // before the second try; every further wait is twice as long; default 1m
	Longest time.Duration // between two tries; default 4h
	GiveUp  time.Duration // age of an event of which nobody is told any more; default 5 days
	Refused time.Duration // the same where the mail server says that it never will take it; default 6h
	Grace   time.Duration // how long a builder may be in trouble before its administrators hear of it; default 10m
	Keep    time.Duration // how long mails are kept that were sent; default 30 days
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Tick, 5*time.Second)
	set(&o.Gather, time.Second)
	set(&o.Lease, 5*time.Minute)
	set(&o.Timeout, 30*time.Second)
	set(&o.Retry, time.Minute)
	set(&o.Longest, 4*time.Hour)
	set(&o.GiveUp, 5*24*time.Hour)
	set(&o.Refused, 6*time.Hour)
	set(&o.Grace, 10*time.Minute)
	set(&o.Keep, 30*24*time.Hour)
	return o
}

// backoff is the wait after a number of tries that failed.
func (o Options) backoff(tries int) time.Duration {
	return min(o.Retry<<min(tries, 16), o.Longest)
}

// Config is what a Notifier is made of. All of it is immutable once it runs.
type Config struct {
	Name    string // of this server among others
	DB      *store.DB
	Email   Email // without a sender's address there are no mails
	Hooks   []Hook
	Why     *why.Asker // says why a job failed
	URL     string     // https://host:port of the public web
	Options Options
	Log     *slog.Logger
}

// Notifier sends mails and calls hooks. Every server of a farm may run one:
// each mail and each delivery is claimed.
type Notifier struct {
	Config
	farm   string
	texts  *template.Template
	places map[string]plague.EventID // of hooks, when the server started
	seen   plague.EventID            // newest event that made no mail; only the loop that makes mails touches it
}

// New makes a Notifier; Run makes it work. What happens after New is told.
func New(ctx context.Context, c Config) (*Notifier, error) {
	c.Options = c.Options.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	farm, err := c.DB.FarmID(ctx)
	if err != nil {
		return nil, err
	}
	texts, err := templates()
	if err != nil {
		return nil, fmt.Errorf("texts of mails: %w", err)
	}
	if c.Email.From != "" {
		if _, err := c.DB.Cursor(ctx, mailCursor); err != nil {
			return nil, err
		}
	}
	places := map[string]plague.EventID{}
	for _, h := range c.Hooks {
		if places[h.Name], err = c.DB.AddHook(ctx, h.Name); err != nil {
			return nil, err
		}
	}
	return &Notifier{Config: c, farm: farm, texts: texts, places: places}, nil
}

// mailers is how many mails one server sends at a time.
const mailers = 2

// Run tells what happens until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if n.Email.From != "" {
		g.Go(func() error { return n.makeMails(ctx) })
		for range mailers {
			g.Go(func() error { return n.sendMails(ctx) })
		}
		g.Go(func() error { return n.dropMails(ctx) })
	}
	for _, h := range n.Hooks {
		g.Go(func() error { return n.callHook(ctx, h) })
	}
	<-ctx.Done() // also where there is nobody to tell
	return g.Wait()
}

// afterwards is time to write down what has been done, also when the server
// ends just now: what is not written down is done again.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// trouble logs what will be tried again. That another server was quicker is none.
func (n *Notifier) trouble(ctx context.Context, doing string, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, plague.ErrConflict) {
		n.Log.WarnContext(ctx, "will try again", "doing", doing, "error", err)
	}
}
