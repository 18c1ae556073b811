package why

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"plague"
	"plague/internal/sched"
	"plague/internal/store"
)

// fresh is how old a picture may be: who asks again and again shall not have the whole
// queue read each time.
const fresh = 2 * time.Second

// picture is the queue and its builders at one moment, as any server can read them.
type picture struct {
	at       time.Time
	queue    sched.Queue
	builders []plague.Builder
	room     []sched.Capacity // of those that take something
	held     map[string][]store.HeldRow
	results  map[string]int // by builder: ended builds whose files are not here yet
	spans    map[string]span
	learned  map[store.Build]plague.Learned // of what is held
}

// span is how long builds of an arch took: nine of ten took longer than low, and nine
// of ten less than high.
type span struct{ low, high time.Duration }

// enough is from how many builds on a span says anything.
const enough = 5

// look gives a picture that is fresh enough.
func (a *Asker) look(ctx context.Context) (*picture, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last != nil && time.Since(a.last.at) < fresh {
		return a.last, nil
	}
	p := &picture{at: time.Now(), held: map[string][]store.HeldRow{}, results: map[string]int{}, spans: map[string]span{}}
	var after plague.ArchJobID
	for {
		rows, err := a.DB.Queued(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			p.queue.Add(a.Item(r))
			after = r.ID
		}
		if len(rows) < 1000 {
			break
		}
	}
	if err := a.machines(ctx, p); err != nil {
		return nil, err
	}
	took, err := a.DB.Durations(ctx)
	if err != nil {
		return nil, err
	}
	for arch, all := range took {
		if n := len(all); n >= enough {
			slices.Sort(all)
			p.spans[arch] = span{all[n/10], all[n-1-n/10]}
		}
	}
	a.last = p
	return p, nil
}

// machines takes in the builders of the configuration, and what they hold.
func (a *Asker) machines(ctx context.Context, p *picture) error {
	held, err := a.DB.Held(ctx, "")
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.State == plague.ArchDownloading { // its slot is free
			p.results[h.Builder]++
		} else {
			p.held[h.Builder] = append(p.held[h.Builder], h)
		}
	}
	if p.learned, err = a.DB.Learned(ctx, held); err != nil {
		return err
	}
	if p.builders, err = a.ours(ctx); err != nil {
		return err
	}
	for _, b := range p.builders {
		if troubleOf(b) == "" {
			p.room = append(p.room, p.capacity(b))
		}
	}
	return nil
}

func (p *picture) capacity(b plague.Builder) sched.Capacity {
	return sched.Capacity{Name: b.Name, Arches: b.Arches, Targets: b.Targets, Slots: b.Slots, Free: sched.Free(b.Slots, len(p.held[b.Name]), p.results[b.Name]), Machine: b.Machine}
}

// troubleOf says why a builder takes nothing new.
func troubleOf(b plague.Builder) string {
	switch {
	case b.SeenAt.IsZero():
		return "it has never answered"
	case !b.Alive:
		return cmp.Or(b.Suspended, "it does not answer") + "; its last answer was at " + since(b.SeenAt)
	}
	return b.Suspended
}

// candidates are the builders that could build an item, in trouble or not.
func (p *picture) candidates(it sched.Item) (all []plague.Candidate) {
	fit := map[string]sched.Capacity{}
	for _, c := range sched.Fitting(it, p.capacities()) {
		fit[c.Name] = c
	}
	for _, b := range p.builders {
		c, fits := fit[b.Name]
		if !fits {
			continue
		}
		one := plague.Candidate{Builder: b.Name, Slots: b.Slots, Free: max(c.Free, 0), Trouble: troubleOf(b), Results: p.results[b.Name]}
		for _, h := range p.held[b.Name] {
			one.Doing = append(one.Doing, fmt.Sprintf("job %d %s (%s, since %s)", h.Job, h.JobRow.NVR(), h.Arch, since(h.StateAt)))
		}
		all = append(all, one)
	}
	return all
}

// foresee says when an item should begin: with builds that are as short as any, and
// as long. known is false where this farm's history does not say how long builds take.
func (p *picture) foresee(id plague.ArchJobID) (place int, earliest, latest time.Time, known bool) {
	low := p.play(id, func(s span) time.Duration { return s.low })
	high := p.play(id, func(s span) time.Duration { return s.high })
	place = max(low.Place, high.Place)
	if !low.Known || !high.Known || !p.told() {
		return place, time.Time{}, time.Time{}, false
	}
	return place, p.at.Add(min(low.In, high.In)), p.at.Add(max(low.In, high.In)), true
}

// span is how long a build should take: as the last one of its package did, or as long
// as others for its arch.
func (p *picture) span(arch string, l plague.Learned) span {
	if l.Took == 0 {
		return p.spans[arch]
	}
	return span{l.Took * 3 / 4, l.Took * 3 / 2}
}

// told says whether there is a span for every arch that runs.
func (p *picture) told() bool {
	for _, held := range p.held {
		for _, h := range held {
			if _, known := p.spans[h.Arch]; !known {
				return false
			}
		}
	}
	return true
}

func (p *picture) play(id plague.ArchJobID, of func(span) time.Duration) sched.Forecast {
	var running []sched.Running
	for builder, held := range p.held {
		for _, h := range held {
			so := p.at.Sub(h.StateAt)
			left := of(p.span(h.Arch, p.learned[store.Build{Package: h.JobRow.Package, Arch: h.Arch}])) - so
			if left < 0 {
				left = so // it takes longer than others: who knows how long
			}
			running = append(running, sched.Running{Builder: builder, Share: sched.ShareOf(h.JobRow.User, h.JobRow.Priority), Left: left})
		}
	}
	slices.SortFunc(running, func(a, b sched.Running) int { return int(a.Left - b.Left) })
	return sched.Foresee(&p.queue, id, p.room, running, p.at, func(it sched.Item) time.Duration { return of(p.span(it.Arch, it.Learned)) })
}
