package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

func woken(w *store.Waker) bool {
	select {
	case <-w.C:
		return true
	default:
		return false
	}
}

// TestWakes: a change wakes, once, those who wait for its topic; what was
// refused wakes nobody.
func TestWakes(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		steps := []struct {
			name  string
			act   func()
			wakes []store.Topic
		}{
			{"submit", func() { f.submit(newJob("a", "1")); f.submit(newJob("b", "1")) }, []store.Topic{store.TopicJobs, store.TopicEvents}},
			{"begin", func() { f.begin(1) }, []store.Topic{store.TopicJobs, store.TopicEvents}},
			{"priority", func() { f.must(f.SetPriority(f.ctx, f.now, "x", 1, 3)); f.must(f.SetPriority(f.ctx, f.now, "x", 1, 3)) }, []store.Topic{store.TopicJobs, store.TopicQueue, store.TopicEvents}},
			{"build", func() {
				f.must(f.Build(f.ctx, f.term, f.now, 1, 1, built("x86_64"), pin))
			}, []store.Topic{store.TopicQueue, store.TopicEvents}},
			{"end", func() { f.end(f.assign(1, "b1"), "b1", nil) }, []store.Topic{store.TopicQueue, store.TopicChores, store.TopicEvents}},
			{"accept", func() { f.accept() }, []store.Topic{store.OrdersOf("b1"), store.TopicPublish, store.TopicEvents}},
			{"kill", func() { f.must(f.Kill(f.ctx, f.now, "x", 1)) }, []store.Topic{store.TopicJobs, store.TopicQueue, store.TopicOrders, store.TopicEvents}},
			{"pause", func() { f.must(f.SetPaused(f.ctx, f.now, "x", true)) }, []store.Topic{store.TopicFarm, store.TopicJobs, store.TopicEvents}},
			{"refused", func() {
				f.refused(f.Kill(f.ctx, f.now, "x", 1), plague.ErrConflict)
				f.refused(f.SetPriority(f.ctx, f.now, "x", 1, 3), plague.ErrConflict)
				f.refused(f.SetPriority(f.ctx, f.now, "x", 100, 3), plague.ErrNotFound)
			}, nil},
		}
		all := map[store.Topic]*store.Waker{}
		for _, topic := range []store.Topic{store.TopicJobs, store.TopicQueue, store.TopicOrders, store.TopicPublish, store.TopicChores, store.TopicEvents, store.TopicFarm, store.OrdersOf("b1"), store.OrdersOf("b2")} {
			all[topic] = f.Subscribe(topic)
		}
		for _, s := range steps {
			s.act()
			expected := map[store.Topic]bool{}
			for _, topic := range s.wakes {
				expected[topic] = true
			}
			for topic, w := range all {
				if got := woken(w); got != expected[topic] {
					t.Errorf("%s: woken for %s: %v", s.name, topic, got)
				}
				if woken(w) {
					t.Errorf("%s: woken twice for %s", s.name, topic)
				}
			}
		}
		all[store.TopicJobs].Close()
		f.submit(newJob("c", "1"))
		if woken(all[store.TopicJobs]) {
			t.Error("woken after the end")
		}
	})
}

// TestWakesElsewhere: what another process writes wakes those who wait here.
func TestWakesElsewhere(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		ctx, cancel := context.WithCancel(f.ctx)
		listening := make(chan error, 1)
		go func() { listening <- f.Listen(ctx) }()
		w := f.Subscribe(store.TopicFarm)
		defer w.Close()
		other := f.open(store.Options{})
		f.heard(w, func() {
			f.must(other.SetPaused(f.ctx, f.now, "x", true))
			f.must(other.SetPaused(f.ctx, f.now, "x", false))
		})
		mine, others := f.Subscribe(store.OrdersOf("b1")), f.Subscribe(store.OrdersOf("b2"))
		defer mine.Close()
		defer others.Close()
		if f.Postgres() { // who builds there is told by name; of a SQLite file only that it has changed
			elsewhere := *f
			elsewhere.DB = other
			telling := make(chan error, 1)
			go func() { telling <- other.Listen(ctx) }()
			defer func() { <-telling }()
			a := f.build(f.submit(newJob("a", "1")), "x86_64")[0]
			elsewhere.end(elsewhere.assign(a.ID, "b1"), "b1", nil)
			elsewhere.accept()
			f.heard(mine, func() {})
			if woken(others) {
				t.Error("the other builder's loop is woken, too")
			}
		}
		cancel()
		if err := <-listening; !errors.Is(err, context.Canceled) {
			t.Errorf("listening ended with %v", err)
		}
	})
}

// heard writes until a waiter is woken: what is written before the listener
// listens need not be heard.
func (f *farm) heard(w *store.Waker, write func()) {
	f.t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	over := time.After(time.Minute)
	for {
		select {
		case <-w.C:
			return
		case <-again.C:
			write()
		case <-over:
			f.t.Fatal("nobody was woken")
		}
	}
}
