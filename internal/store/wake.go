package store

import (
	"context"
	"sync"
	"time"
)

// Topic says what has changed, so that those who wait for it look again.
type Topic string

const (
	TopicJobs     Topic = "jobs"     // a job waits, or has come into prep
	TopicQueue    Topic = "queue"    // an arch job is queued, or has left a builder
	TopicOrders   Topic = "orders"   // what builders should have has changed
	TopicPublish  Topic = "publish"  // a job has come into addtorepo
	TopicChores   Topic = "chores"   // there is a download to do
	TopicEvents   Topic = "events"   // something has happened
	TopicFarm     Topic = "farm"     // paused, or users changed
	TopicBuilders Topic = "builders" // the option builders is to be read again, one has joined, or a certificate was revoked
)

// OrdersOf is what one builder should have. Whoever waits for it waits for
// TopicOrders too, which says the same of any builder: of a thousand that look at
// the database each time one of them has news, nothing else would be read.
func OrdersOf(builder string) Topic { return TopicOrders + "/" + Topic(builder) }

func topics() []Topic {
	return []Topic{TopicJobs, TopicQueue, TopicOrders, TopicPublish, TopicChores, TopicEvents, TopicFarm, TopicBuilders}
}

// wakes are those who wait. The zero value is ready.
type wakes struct {
	mu  sync.Mutex // guards the field below
	all map[Topic]map[*Waker]bool
}

// Waker is woken, once however often it happens, when one of its topics has
// changed. C has room for one.
type Waker struct {
	C      <-chan struct{}
	c      chan struct{}
	topics []Topic
	home   *wakes
}

// Subscribe waits for changes of the topics, from now on.
func (db *DB) Subscribe(topics ...Topic) *Waker {
	c := make(chan struct{}, 1)
	w := &Waker{C: c, c: c, topics: topics, home: &db.wakes}
	db.wakes.mu.Lock()
	defer db.wakes.mu.Unlock()
	if db.wakes.all == nil {
		db.wakes.all = map[Topic]map[*Waker]bool{}
	}
	for _, t := range topics {
		if db.wakes.all[t] == nil {
			db.wakes.all[t] = map[*Waker]bool{}
		}
		db.wakes.all[t][w] = true
	}
	return w
}

// Close ends the subscription.
func (w *Waker) Close() {
	w.home.mu.Lock()
	defer w.home.mu.Unlock()
	for _, t := range w.topics {
		if delete(w.home.all[t], w); len(w.home.all[t]) == 0 {
			delete(w.home.all, t)
		}
	}
}

// Wait ends with a wake-up, the tick, or ctx; it says whether to go on. Without the
// tick, what a wake-up that was lost told would wait for ever.
func Wait(ctx context.Context, wake <-chan struct{}, tick time.Duration) bool {
	t := time.NewTimer(tick)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-t.C:
	}
	return true
}

func (h *wakes) wake(topics map[Topic]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range topics {
		for w := range h.all[t] {
			select {
			case w.c <- struct{}{}:
			default:
			}
		}
	}
}

// everything is what may have changed when nobody can say what has.
func everything() map[Topic]bool {
	all := map[Topic]bool{}
	for _, t := range topics() {
		all[t] = true
	}
	return all
}
