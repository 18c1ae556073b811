package sandbox

import (
	"math"
	"os"
	"syscall"
	"time"

	"plague"
)

// Used is what a command used, as far as that can be seen from outside.
type Used struct {
	Memory int64        // bytes at most that could not be given back, looked at every gaugeTick
	Meter  plague.Meter // of Memory and Kills; "": neither was measured
	// Kills counts processes that the kernel killed for want of memory: of the command,
	// or, metered by process, of the whole machine meanwhile.
	Kills    int64
	FreeDisk int64 // least bytes that were free on the disk of Command.Work
}

// gaugeTick is how often it is looked at what a command uses.
const gaugeTick = 250 * time.Millisecond

// gauge measures one command from its start to its end.
type gauge struct {
	group  *group // nil: there is none
	before int64  // killed on the machine before
	disk   string // folder on the disk
	used   Used
	stop   chan struct{}
	done   chan struct{}
}

// newGauge begins to measure the process and what it will start.
func newGauge(pid int, disk string) *gauge {
	g := &gauge{disk: disk, before: MemoryKills(), stop: make(chan struct{}), done: make(chan struct{})}
	g.used.Meter, g.used.FreeDisk = plague.MeterProcess, math.MaxInt64
	if own, err := newGroup(pid); err == nil {
		g.group, g.used.Meter = own, plague.MeterGroup
	}
	go func() {
		defer close(g.done)
		tick := time.NewTicker(gaugeTick)
		defer tick.Stop()
		for {
			g.look()
			select {
			case <-g.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return g
}

func (g *gauge) look() {
	if free, err := FreeDisk(g.disk); err == nil {
		g.used.FreeDisk = min(g.used.FreeDisk, free)
	}
	if g.group != nil {
		g.used.Memory = max(g.used.Memory, g.group.held())
	}
}

// end gives what was measured, when all processes have ended; of is the first of them.
func (g *gauge) end(of *os.ProcessState) Used {
	close(g.stop)
	<-g.done
	g.look()
	u := g.used
	if g.group != nil {
		u.Kills = g.group.killed()
		_ = g.group.remove() // the next sandbox tries again
		return u
	}
	u.Kills = MemoryKills() - g.before
	if usage, ok := of.SysUsage().(*syscall.Rusage); ok {
		u.Memory = usage.Maxrss << 10 // of the largest of all that were waited for: getrusage(2)
	}
	return u
}

// FreeDisk is how many bytes are free for all on the disk of a folder.
func FreeDisk(dir string) (int64, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(dir, &st)
	return int64(st.Bavail) * st.Bsize, err
}
