package farmtest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	schedules = flag.Int("schedules", 0, "number of schedules to play; default 300 (with -race 50) as far as there is time")
	firstSeed = flag.Uint64("seed", 1, "seed of the first schedule")
	atMost    = flag.Duration("for", 0, "begin no schedule after so long, however many are left; 0: play them all")
)

// wanted is how many schedules to play; asked says that somebody wants no less.
func wanted() (n uint64, asked bool) {
	if *schedules > 0 {
		return uint64(*schedules), true
	}
	if raceEnabled {
		return 50, false
	}
	return 300, false
}

// hurry says whether no more schedules shall begin: the time that was given is over, or,
// if nobody asked for a number, nearly that of the whole test.
func hurry(t *testing.T, began time.Time, asked bool) bool {
	if *atMost > 0 && time.Since(began) > *atMost {
		return true
	}
	end, limited := t.Deadline()
	return !asked && limited && time.Until(end) < stuckAfter+time.Minute
}

// stuckAfter is how long a schedule may take in real time: one that takes
// longer runs in circles without time going on.
const stuckAfter = 4 * time.Minute

// garbage is how far the heap may grow, in percent, before it is collected: a
// world is small and soon gone, and collecting it costs a third of the time.
const garbage = 1600

// TestSimulation plays schedules, each from its own seed, until one of the
// design's invariants does not hold.
//
//	go test ./internal/farmtest -run Simulation -timeout 0 -schedules 10000
//	go test ./internal/farmtest -run Simulation -schedules 10000 -for 5m
//	go test ./internal/farmtest -run Simulation -schedules 1 -seed 4711
func TestSimulation(t *testing.T) {
	database, err := template()
	if err != nil {
		t.Fatal(err)
	}
	before := debug.SetGCPercent(garbage)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	var next atomic.Uint64
	sum := totals{began: time.Now(), seen: map[string]int{}}
	t.Cleanup(func() { sum.print(t) })
	total, asked := wanted()
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker", worker), func(t *testing.T) {
			t.Parallel()
			for !t.Failed() {
				n := next.Add(1)
				if n > total || hurry(t, sum.began, asked) {
					return
				}
				sum.add(play(t, *firstSeed+n-1, database))
			}
		})
	}
}

// totals are what all schedules came to.
type totals struct {
	began time.Time

	mu     sync.Mutex // guards the fields below
	played int
	seen   map[string]int
}

func (s *totals) add(seen map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.played++
	for what, n := range seen {
		s.seen[what] += n
	}
}

func (s *totals) print(t *testing.T) {
	t.Logf("%d schedules from seed %d, %.1f in a second", s.played, *firstSeed, float64(s.played)/time.Since(s.began).Seconds())
	for _, what := range slices.Sorted(maps.Keys(s.seen)) {
		if s.seen[what] > 0 {
			t.Logf("%7d %s", s.seen[what], what)
		}
	}
	if s.played >= 50 && !t.Failed() && (s.seen["jobs needsign"] == 0 || s.seen["attempts lost"] == 0 || s.seen["mails sent"] == 0) {
		t.Error("these schedules saw nothing")
	}
}

// play plays one schedule, and prints its trace if it failed.
func play(t *testing.T, seed uint64, database []byte) (seen map[string]int) {
	dir, err := os.MkdirTemp("/dev/shm", "plague-farmtest-")
	if err != nil {
		dir = t.TempDir()
	}
	defer os.RemoveAll(dir)
	var trace *Trace
	watchdog := time.AfterFunc(stuckAfter, func() {
		fmt.Fprintf(os.Stderr, "seed %d does not end\n%s", seed, trace)
		debug.SetTraceback("all")
		panic("stuck")
	})
	defer watchdog.Stop()
	defer func() {
		if r := recover(); r != nil { // a deadlock in the bubble
			fmt.Fprintf(os.Stderr, "seed %d: %v\n%s", seed, r, trace)
			panic(r)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w := New(seed, dir)
		trace = w.trace
		problems := w.Simulate(database)
		seen = w.Seen
		if len(problems) > 0 || testing.Verbose() && *schedules == 1 {
			t.Logf("seed %d:\n%s", seed, trace)
		}
		for _, p := range problems {
			t.Errorf("seed %d: %s", seed, p)
		}
	})
	return seen
}
