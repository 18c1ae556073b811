package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"plague"
	"plague/internal/wire"

	"golang.org/x/sync/errgroup"
)

// A Load is what a simulated farm has to do.
type Load struct {
	Builders  int           // simulated, each with one slot
	Jobs      int           // scratch jobs of one arch each
	Published int           // jobs beside them that are published
	Mean      time.Duration // of what a build takes
	Deaths    float64       // share of the builders that die in a minute, such as 0.01
	Seed      uint64
}

// loaded is a farm while it works on a load.
type loaded struct {
	*Farm
	Load
	fleet     *fleet
	ledger    *ledger
	began     time.Time
	mu        sync.Mutex // guards the field below
	submitted map[plague.JobID]time.Time
	samples   []sample
	peak      map[string]float64
}

// sample is how many jobs had come to their end at a time.
type sample struct {
	at    time.Time
	ended int
	plans wire.Plans
}

// UnderLoad has simulated builders work on many jobs while some of them die, measures
// the server, and holds what it says at the end against what the builders know. A
// farm that has lost, doubled or forgotten anything is an error that names it.
func (b *Bench) UnderLoad(ctx context.Context, load Load) (figures []Figure, err error) {
	err = b.with(ctx, Shape{Simulated: load.Builders, Database: b.Postgres}, func(f *Farm) error {
		l := &loaded{Farm: f, Load: load, ledger: newLedger(), submitted: map[plague.JobID]time.Time{}, peak: map[string]float64{}}
		if l.fleet, err = newFleet(ctx, f.Places, 1, f.Arch, waits{mean: load.Mean, seed: load.Seed}, l.ledger); err != nil {
			return err
		}
		work := l.work(ctx, b)
		used := f.cpu()["server"]
		if err := errors.Join(work, l.fleet.close(), f.Stop(), l.ledger.err()); err != nil {
			return err
		}
		starts, err := l.verify(ctx)
		if err != nil {
			return err
		}
		figures = l.figures(used, starts)
		return nil
	})
	return figures, err
}

// work submits everything and waits for the end of all.
func (l *loaded) work(ctx context.Context, b *Bench) error {
	watch, err := l.Client()
	if err != nil {
		return err
	}
	if err := l.assembled(ctx, watch); err != nil {
		return err
	}
	scratch, published, err := l.sources(ctx)
	if err != nil {
		return err
	}
	l.began = time.Now()
	ctx, over := context.WithCancel(ctx)
	defer over()
	g, ctx := errgroup.WithContext(ctx)
	r := rand.New(rand.NewPCG(l.Seed, 0))
	g.Go(func() error {
		if err := l.fleet.die(ctx, l.Deaths*float64(l.Builders), r.IntN); ctx.Err() == nil {
			return err
		}
		return nil
	})
	g.Go(func() error { return l.submit(ctx, scratch, published) })
	g.Go(func() error {
		defer over()
		return l.follow(ctx, watch, b)
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// assembled waits until the server has met all builders.
func (l *loaded) assembled(ctx context.Context, c *Client) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		st, err := c.Status(ctx)
		if err == nil && st.Alive == l.Builders {
			return nil
		}
		rest(ctx, sampleTime)
		if ctx.Err() != nil {
			return fmt.Errorf("of %d builders the server has met %d: %w", l.Builders, st.Alive, cmp.Or(err, ctx.Err()))
		}
	}
}

const (
	sampleTime = 500 * time.Millisecond
	sayTime    = 5 * time.Second
	kinds      = 50 // packages that the scratch jobs are of
	// stuckAfter is time for a job to come to a few silent builders, one after the other.
	stuckAfter = 10 * time.Minute
)

// sources brings the source packages to the farm.
func (l *loaded) sources(ctx context.Context) (scratch, published []wire.Submission, err error) {
	if scratch, err = l.uploaded(ctx, "simulated", min(kinds, l.Jobs)); err != nil {
		return nil, nil, err
	}
	for i := range scratch {
		scratch[i].Scratch = true
	}
	if l.Published > 0 {
		published, err = l.uploaded(ctx, "published", l.Published)
	}
	return scratch, published, err
}

// submit submits all jobs over many connections, those to be published spread among the
// others.
func (l *loaded) submit(ctx context.Context, scratch, published []wire.Submission) error {
	total := l.Jobs + len(published)
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(maxClients, total) {
		c, err := l.Client()
		if err != nil {
			return err
		}
		g.Go(func() error {
			for i := int(next.Add(1) - 1); i < total; i = int(next.Add(1) - 1) {
				job := scratch[i%len(scratch)]
				before, now := i*len(published)/total, (i+1)*len(published)/total
				if now > before {
					job = published[before]
				}
				at := time.Now()
				done, err := c.Submit(ctx, job)
				if err != nil {
					return fmt.Errorf("submit: %w", err)
				}
				l.mu.Lock()
				l.submitted[done.UID] = at
				l.mu.Unlock()
			}
			return nil
		})
	}
	return g.Wait()
}

// follow takes samples until all jobs rest. A farm in which nothing ends any more is
// stuck.
func (l *loaded) follow(ctx context.Context, c *Client, b *Bench) error {
	total := l.Jobs + l.Published
	moved, said := time.Now(), time.Now()
	for {
		st, err := c.Status(ctx)
		if err != nil {
			return err
		}
		now := sample{at: time.Now(), plans: st.Plans}
		for _, state := range []plague.JobState{plague.JobFinished, plague.JobNeedSign, plague.JobFailed, plague.JobKilled} {
			now.ended += st.Jobs[string(state)]
		}
		if n := len(l.samples); n == 0 || l.samples[n-1].ended < now.ended {
			moved = now.at
		}
		l.samples = append(l.samples, now)
		if size, err := sizes(l.Processes()["server"]); err == nil {
			l.peak["rss"] = max(l.peak["rss"], size["rss"])
		}
		switch {
		case now.ended >= total:
			return nil
		case now.at.Sub(moved) > stuckAfter+longest*l.Mean:
			return fmt.Errorf("stuck: %d of %d jobs have ended, and for %s none did", now.ended, total, now.at.Sub(moved).Round(time.Second))
		case now.at.Sub(said) > sayTime:
			said = now.at
			b.Log.InfoContext(ctx, "under load", "ended", now.ended, "of", total, "alive", st.Alive, "a_second", int(float64(now.ended)/now.at.Sub(l.began).Seconds()))
		}
		rest(ctx, sampleTime)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// steadily is how many jobs a second came to their end between the first and the last
// tenth of them.
func (l *loaded) steadily() float64 {
	total := float64(l.samples[len(l.samples)-1].ended)
	var from, to sample
	for _, s := range l.samples {
		if share := float64(s.ended) / total; share <= 0.1 || from.at.IsZero() {
			from = s
		} else if share <= 0.9 || to.at.IsZero() {
			to = s
		}
	}
	if to.at.IsZero() {
		return 0
	}
	return float64(to.ended-from.ended) / to.at.Sub(from.at).Seconds()
}

func (l *loaded) figures(used time.Duration, starts []time.Duration) []Figure {
	last := l.samples[len(l.samples)-1]
	whole := last.at.Sub(l.began)
	on, aim := "SQLite", "1,000"
	if l.OnPostgres {
		on, aim = "PostgreSQL", "300"
	}
	what := fmt.Sprintf("%s jobs (%d of them published), %d builders, %s", thousands(last.ended), l.Published, l.Builders, on)
	figures := []Figure{
		{What: "completions a second: " + what, Value: map[string]float64{"steady": l.steadily(), "whole": float64(last.ended) / whole.Seconds()}, Unit: "/s", Aim: aim},
		{What: "submit to start", Value: spread(starts), Unit: "ms", Note: "the queue included: all were submitted at once"},
		{What: "plans", Value: map[string]float64{"p50": last.plans.P50, "p99": last.plans.P99, "n": float64(last.plans.Count)}, Unit: "ms", Aim: "10", Note: fmt.Sprintf("the choice alone; the newest %d", wire.PlansKept)},
		{What: "CPU of the server", Value: map[string]float64{"": ms(used) / float64(last.ended)}, Unit: "ms", Note: "for each job, submission included"},
		{What: "memory of the server, most", Value: l.peak, Unit: "MB"},
	}
	for _, d := range deaths() {
		aim := map[string]string{"restarts": "15", "refuses": "15", "falls silent": "the lease, 120"}[d.kind]
		if took := l.ledger.replaced()[d.kind]; len(took) > 0 {
			figures = append(figures, Figure{What: "from the death of a builder that " + d.kind + " until its job ran again", Unit: "s", Aim: aim,
				Value: map[string]float64{"p50": quantile(took, 0.5).Seconds(), "most": quantile(took, 1).Seconds(), "n": float64(len(took))}})
		}
	}
	return figures
}
