package sched

import (
	"time"

	"plague"
)

// span is a class of expected times. There are few, so that a line has few parts.
type span int

// spans are the least times of each class.
func spans() [parts]time.Duration {
	return [...]time.Duration{0, time.Minute, 3 * time.Minute, 10 * time.Minute, 30 * time.Minute, 90 * time.Minute, 4 * time.Hour, 12 * time.Hour}
}

const parts = 8

func spanOf(took time.Duration) span {
	all := spans()
	at := parts - 1
	for at > 0 && took < all[at] {
		at--
	}
	return span(at)
}

// due is when an item counts as queued, in microseconds: what takes long, earlier by
// that. So of two that came together the longer one goes first, and nothing waits for
// ever behind longer ones that come after it.
func (it *Item) due() int64 { return it.dueIn(spanOf(it.Learned.Took)) }

// dueIn is due of an item whose span is known.
func (it *Item) dueIn(s span) int64 { return it.Queued.UnixMicro() - spans()[s].Microseconds() }

// size is what a builder should have so that a build fits, in few classes: each of them
// makes a line of its own.
type size struct{ memory, disk int64 }

// Below these any builder will do.
const (
	leastMemory = 2 << 30
	leastDisk   = 8 << 30
)

func sizeOf(l plague.Learned) size {
	return size{step(l.Memory, leastMemory), step(l.Disk, leastDisk)}
}

// step is the next size of machines above n and a tenth: powers of two less a
// sixteenth, for a machine sold with 16 GB says that it has 15.6.
func step(n, least int64) int64 {
	n += n / 10
	if n <= least {
		return 0
	}
	for least-least/16 < n {
		least *= 2
	}
	return least - least/16
}

// holding leaves of the builders that do an item those that hold it by what it used
// before; if none does, the largest. One that does not say what it has may.
func (s size) holding(all []*Capacity) []*Capacity {
	all = large(all, s.memory, func(c *Capacity) int64 { return c.Machine.Memory })
	return large(all, s.disk, func(c *Capacity) int64 { return c.Machine.FreeDisk })
}

func large(all []*Capacity, want int64, has func(*Capacity) int64) []*Capacity {
	if want == 0 {
		return all
	}
	most := int64(0)
	for _, c := range all {
		if n := has(c); n == 0 || n >= want {
			most = want
			break
		} else if n > most {
			most = n
		}
	}
	if most < want {
		want = most - most/16 // machines of one kind differ by a little
	}
	var left []*Capacity
	for _, c := range all {
		if n := has(c); n == 0 || n >= want {
			left = append(left, c)
		}
	}
	return left
}
