package farmtest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	schedules = flag.Int("schedules", 0, "number of schedules to play; default 300, with -race 50, or PLAGUE_SCHEDULES")
	firstSeed = flag.Uint64("seed", 1, "seed of the first schedule")
)

func wanted() int {
	if *schedules > 0 {
		return *schedules
	}
	if n, err := strconv.Atoi(os.Getenv("PLAGUE_SCHEDULES")); err == nil {
		return n
	}
	if raceEnabled {
		return 50
	}
	return 300
}

// stuckAfter is how long a schedule may take in real time: one that takes
// longer runs in circles without time going on.
const stuckAfter = 40 * time.Second

// TestSimulation plays schedules, each from its own seed, until one of the
// design's invariants does not hold.
//
//	go test ./internal/farmtest -run Simulation -schedules 10000
//	go test ./internal/farmtest -run Simulation -schedules 1 -seed 4711
func TestSimulation(t *testing.T) {
	database, err := template()
	if err != nil {
		t.Fatal(err)
	}
	var next atomic.Uint64
	var played atomic.Int64
	began := time.Now()
	t.Cleanup(func() {
		t.Logf("%d schedules, %.1f in a second", played.Load(), float64(played.Load())/time.Since(began).Seconds())
	})
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker", worker), func(t *testing.T) {
			t.Parallel()
			for !t.Failed() {
				n := next.Add(1)
				if n > uint64(wanted()) {
					return
				}
				play(t, *firstSeed+n-1, database)
				played.Add(1)
			}
		})
	}
}

// play plays one schedule and prints its trace if it failed.
func play(t *testing.T, seed uint64, database []byte) {
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
		if len(problems) > 0 || testing.Verbose() && wanted() == 1 {
			t.Logf("seed %d:\n%s", seed, trace)
		}
		for _, p := range problems {
			t.Errorf("seed %d: %s", seed, p)
		}
	})
}
