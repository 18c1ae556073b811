package server

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"plague"
	"plague/internal/sched"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// history is a farm's database to which things happen at random.
type history struct {
	t    *testing.T
	s    *Server
	term store.Term
	dice *rand.Rand
	jobs []plague.JobID
	p    *planner
}

func newHistory(t *testing.T, seed uint64) *history {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "farm.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s, err := New(t.Context(), Config{DB: db, Targets: []plague.Target{{Distro: "lab", Target: "12", Repo: "extras", BaseArches: []string{"x86_64"}}}})
	if err != nil {
		t.Fatal(err)
	}
	term, err := db.Acquire(t.Context(), "here", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.setCapacity(capacity{Capacity: sched.Capacity{Name: fmt.Sprint("b", i), Arches: []string{"x86_64"}, Slots: 2}, takes: true})
	}
	return &history{t: t, s: s, term: term, dice: rand.New(rand.NewPCG(seed, 0))}
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// build brings one more job as far as the queue.
func (h *history) build() {
	db, ctx, now := h.s.DB, h.t.Context(), time.Now()
	digest := fmt.Sprintf("%064x", len(h.jobs)+1)
	h.must(db.AddUpload(ctx, now, "ann@farm", digest, 1))
	uid, err := db.Submit(ctx, now, store.NewJob{
		User: fmt.Sprint("user", h.dice.IntN(3)), Package: fmt.Sprint("p", len(h.jobs)), SRPM: digest, SRPMSize: 1, Target: "lab-12-extras",
		Epoch: "0", Version: "1", Release: "1", Priority: -h.dice.IntN(3),
	})
	h.must(err)
	h.jobs = append(h.jobs, uid)
	_, err = db.Begin(ctx, h.term, now, []plague.JobID{uid})
	h.must(err)
	h.must(db.Build(ctx, h.term, now, uid, 1, []plague.Decision{{Arch: "x86_64", Built: true}}, plague.Pin{}))
}

// happen is the next thing.
func (h *history) happen() {
	db, ctx, now := h.s.DB, h.t.Context(), time.Now()
	held, err := db.Held(ctx, "")
	h.must(err)
	n := h.dice.IntN(11)
	switch {
	case n < 3:
		h.build()
	case n < 4 && len(h.jobs) > 0:
		_ = db.Kill(ctx, now, "root@farm", h.jobs[h.dice.IntN(len(h.jobs))]) // it may have ended
	case n < 5:
		h.p = nil // another leader
	case n == 10 && len(h.jobs) > 0:
		_ = db.SetPriority(ctx, now, "root@farm", h.jobs[h.dice.IntN(len(h.jobs))], h.dice.IntN(5)-3) // it may have ended
	case len(held) == 0:
	case n < 7:
		a := held[h.dice.IntN(len(held))]
		_, err := db.Back(ctx, h.term, now, attemptOf(a), a.Builder, plague.FailureLost, "gone", 5)
		h.must(err)
	case n < 9:
		a := held[h.dice.IntN(len(held))]
		if a.State != plague.ArchDownloading {
			h.must(db.Ended(ctx, h.term, now, attemptOf(a), a.Builder, nil, nil, plague.Usage{}))
		}
	default:
		d, err := storetest.Only(db.ClaimDownloads(ctx, now, "here", time.Minute, 1, 100))
		h.must(err)
		if d != nil {
			h.must(db.Accept(ctx, now, d, "here", nil))
		}
	}
}

// Invariant 7, rule 13: the planner's picture of the queue, advanced by events,
// is what the store would tell a new leader.
func TestPictureIsARebuild(t *testing.T) {
	for seed := range uint64(5) {
		h := newHistory(t, seed)
		waited := 0
		for step := range 200 {
			h.happen()
			if h.dice.IntN(3) == 0 {
				continue // events pile up
			}
			h.must(h.s.advance(t.Context(), &h.p))
			fresh, err := h.s.picture(t.Context())
			h.must(err)
			if got, want := items(h.p), items(fresh); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: the queue is %v, a rebuild says %v", seed, step, got, want)
			}
			if !maps.Equal(h.p.busy, fresh.busy) {
				t.Fatalf("seed %d, step %d: busy are %v, a rebuild says %v", seed, step, h.p.busy, fresh.busy)
			}
			if !maps.Equal(h.p.ended, fresh.ended) {
				t.Fatalf("seed %d, step %d: ended are %v, a rebuild says %v", seed, step, h.p.ended, fresh.ended)
			}
			waited += h.p.queue.Len()
			h.must(h.s.assign(t.Context(), h.term, h.p))
		}
		if waited == 0 {
			t.Error("nothing ever waited")
		}
	}
}

func items(p *planner) []sched.Item {
	var all []sched.Item
	for _, id := range p.queue.IDs() {
		it, _ := p.queue.Find(id)
		all = append(all, it)
	}
	return all
}

// An id below the newest that becomes visible late, as PostgreSQL allows, is
// not overlooked.
func TestIDsOutOfOrder(t *testing.T) {
	queued := func(id plague.ArchJobID) plague.Event {
		return plague.Event{ID: plague.EventID(id), ArchJob: id, What: "arch_job", To: string(plague.ArchQueued)}
	}
	p := &planner{newest: 10, busy: map[plague.ArchJobID]holding{8: {}}, ended: map[plague.ArchJobID]string{}}
	p.queue.Add(sched.Item{ID: 10})
	for id := plague.ArchJobID(8); id <= 11; id++ {
		if p.apply([]plague.Event{queued(id)}) {
			t.Errorf("after the event of %d it wants a rebuild", id)
		}
	}
	if !slices.Equal(p.back, []plague.ArchJobID{9}) {
		t.Errorf("%v are read again, not 9", p.back)
	}
}
