package cli

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plague"
	"plague/internal/wire"

	"golang.org/x/sync/errgroup"
)

// TestChaos kills server and builders with -9 at random moments while 40 real
// builds run: every job ends right, the repository holds exactly the right
// RPMs, and nothing is left behind. PLAGUE_CHAOS_KILLS sets the number of
// kills, PLAGUE_CHAOS_SEED repeats the faults of a run (not its interleaving).
func TestChaos(t *testing.T) {
	const jobs = 40
	kills, seed := max(1, number(t, "PLAGUE_CHAOS_KILLS", 20)), uint64(number(t, "PLAGUE_CHAOS_SEED", int(time.Now().UnixNano()&0xffffff)))
	f := newProcessFarm(t, shape{builders: 2, slots: 2, lease: 30 * time.Second})
	t.Logf("PLAGUE_CHAOS_KILLS=%d PLAGUE_CHAOS_SEED=%d", kills, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := &chaos{processFarm: f, random: random, want: map[plague.JobID]plague.JobState{}, starts: map[string]map[int]bool{}, due: make(chan struct{}, jobs)}
	srpms := c.packages(jobs)
	f.start()

	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	over := make(chan struct{})
	var others errgroup.Group
	others.Go(func() error { c.count(over); return nil })
	others.Go(func() error { return c.submitAll(ctx, srpms) })
	c.killAll(ctx, kills, jobs)
	f.wait("the farm to answer", func(ctx context.Context) error { return f.answers(ctx) })
	ended := c.rest(jobs)
	close(over)
	if err := others.Wait(); err != nil {
		t.Fatal(err)
	}
	c.judge(ended)
	f.nothingLeft()
}

func number(t *testing.T, name string, fallback int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// chaos is one run.
type chaos struct {
	*processFarm
	random *rand.Rand    // the killer's alone
	due    chan struct{} // one for each job that may be submitted now: there is work for as long as there are kills

	mu     sync.Mutex // guards the fields below
	want   map[plague.JobID]plague.JobState
	starts map[string]map[int]bool // attempt's folder: pids of its supervisors
}

// killAll kills at random moments, and starts again what it has killed.
func (c *chaos) killAll(ctx context.Context, kills, jobs int) {
	for k := range kills {
		for range (k+1)*jobs/kills - k*jobs/kills {
			c.due <- struct{}{}
		}
		pause := time.Duration(c.random.IntN(1200)) * time.Millisecond
		switch victim := c.random.IntN(10); {
		case victim < 4:
			c.server.kill()
			<-time.After(pause / 4)
			c.server.start()
		case victim < 7:
			b := c.builders[c.random.IntN(len(c.builders))]
			b.kill()
			<-time.After(pause / 4)
			b.start()
		case victim < 9:
			if pid := c.builders[c.random.IntN(len(c.builders))].daemon(); pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
			}
		default:
			c.killSupervisor()
		}
		select {
		case <-ctx.Done():
			c.t.Fatal("the time for the kills is over")
		case <-time.After(pause):
		}
	}
}

// killSupervisor kills one that may be lost: the first two attempts of an arch
// job, so that its budget for losses lasts.
func (c *chaos) killSupervisor() {
	all := supervisors(c.Dir)
	for _, pid := range slices.Sorted(maps.Keys(all)) {
		if _, n, _ := strings.Cut(filepath.Base(all[pid]), "-"); n == "1" || n == "2" {
			syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
			return
		}
	}
}

// count notes which supervisors there are, all the time.
func (c *chaos) count(over <-chan struct{}) {
	for {
		for pid, dir := range supervisors(c.Dir) {
			c.mu.Lock()
			if c.starts[dir] == nil {
				c.starts[dir] = map[int]bool{}
			}
			c.starts[dir][pid] = true
			c.mu.Unlock()
		}
		select {
		case <-over:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// rest waits until all jobs rest.
func (c *chaos) rest(jobs int) (all []wire.JobRecord) {
	c.wait("all jobs to rest", func(ctx context.Context) (err error) {
		if all, err = c.client.Jobs(ctx, wire.ListFilter{Maxrows: 1000}); err != nil {
			return err
		}
		var busy []string
		for _, j := range all {
			if !j.Resting {
				busy = append(busy, fmt.Sprintf("%d %s %+v", j.Uid, j.Status, j.Archjobs))
			}
		}
		if len(all) < jobs || len(busy) > 0 {
			return fmt.Errorf("%d jobs of %d, busy: %s", len(all), jobs, strings.Join(busy, "; "))
		}
		return nil
	})
	return all
}

// judge compares what came with what had to come.
func (c *chaos) judge(jobs []wire.JobRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(jobs) != len(c.want) {
		c.t.Errorf("%d jobs, want %d", len(jobs), len(c.want))
	}
	var published []string
	attempts := 0
	for _, j := range jobs {
		if want := c.want[j.Uid]; plague.JobState(j.Status) != want {
			c.t.Errorf("job %d (%s) is %s, want %s: %s", j.Uid, j.Package, j.Status, want, j.Reason)
		}
		if j.Run != 1 || len(j.Archjobs) != 1 {
			c.t.Errorf("job %d: run %d, arch jobs %+v; want one of each", j.Uid, j.Run, j.Archjobs)
			continue
		}
		attempts += j.Archjobs[0].Attempt
		if j.Status == string(plague.JobNeedSign) {
			published = append(published, j.Package+"-1-1")
		}
		if n := strings.Count(c.result(c.t, j.Results, "build.log"), "\nbegun "); n != 1 {
			c.t.Errorf("job %d: build.log tells of %d builds, want one", j.Uid, n)
		}
	}
	slices.Sort(published)
	if got := c.published(); !slices.Equal(got, published) {
		c.t.Errorf("the repository holds %v\nwant %v", got, published)
	}
	for dir, pids := range c.starts {
		if len(pids) != 1 {
			c.t.Errorf("the attempt in %s had %d supervisors, want one", dir, len(pids))
		}
	}
	c.t.Logf("%d jobs, %d attempts, %d of them seen", len(jobs), attempts, len(c.starts))
}
