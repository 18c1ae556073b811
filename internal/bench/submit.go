package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"plague"
	"plague/internal/wire"

	"golang.org/x/sync/errgroup"
)

// submit submits jobs over n connections at a time, in order over each.
func (f *Farm) submit(ctx context.Context, jobs []wire.Submission, n int) ([]plague.JobID, time.Duration, error) {
	clients := make([]*Client, n)
	for i := range clients {
		c, err := f.Client()
		if err != nil {
			return nil, 0, err
		}
		if _, err := c.IsPaused(ctx); err != nil { // the connection stands before the clock runs
			return nil, 0, err
		}
		clients[i] = c
	}
	uids := make([]plague.JobID, len(jobs))
	var next atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range clients {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				done, err := c.Submit(ctx, jobs[i])
				if err != nil {
					return err
				}
				uids[i] = done.UID
			}
			return nil
		})
	}
	err := g.Wait()
	return uids, time.Since(began), err
}

// submissions measures how many jobs a second a farm takes: each is on the disk
// when its call is answered, and the leader prepares them for their builders
// meanwhile.
func (b *Bench) submissions(ctx context.Context) ([]Figure, error) {
	var figures []Figure
	for _, load := range []struct {
		clients, jobs int
		aim, peers    string
	}{{1, 600, "1,500", "Koji 400"}, {maxClients, 3000, "4,000", "Koji 650"}} {
		value, note := map[string]float64{}, ""
		err := b.with(ctx, Shape{}, func(f *Farm) error {
			jobs, err := f.uploaded(ctx, "submitted", load.jobs)
			if err != nil {
				return err
			}
			before := f.cpu()
			_, took, err := f.submit(ctx, jobs, load.clients)
			value[""] = float64(load.jobs) / took.Seconds()
			used := f.cpuNote(before, load.jobs)
			if err != nil {
				return err
			}
			syncs, err := fsyncs(f.Dir)
			note = fmt.Sprintf("fsync of the disk: p50 %s ms; %s", short(ms(quantile(syncs, 0.5))), used)
			return err
		})
		if err != nil {
			return nil, err
		}
		figures = append(figures, Figure{What: fmt.Sprintf("durable submissions a second, %s", plural(load.clients, "client")), Value: value, Unit: "/s",
			Aim: load.aim, Peers: load.peers, Note: note})
	}
	return figures, nil
}

// disk measures what every promise costs here: 4 KiB brought to the disk.
func (b *Bench) disk(ctx context.Context) ([]Figure, error) {
	var syncs []time.Duration
	err := b.with(ctx, Shape{}, func(f *Farm) (err error) {
		syncs, err = fsyncs(f.Dir)
		return err
	})
	return []Figure{{What: "write and fsync of 4 KiB on the farm's disk", Value: spread(syncs), Unit: "ms"}}, err
}

func fsyncs(dir string) ([]time.Duration, error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(filepath.Join(dir, filepath.Base(f.Name())))
	defer f.Close()
	var all []time.Duration
	for range 300 {
		at := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		all = append(all, time.Since(at))
	}
	return all, nil
}
