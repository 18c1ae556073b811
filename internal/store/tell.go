package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// channel is where the servers of a farm tell each other what has changed.
const channel = "plague"

// maxTold keeps a payload within the 8,000 bytes that PostgreSQL has room for.
const maxTold = 7000

// telling is what other servers have not been told yet. While db listens it is told in
// transactions of its own: in those that change something, PostgreSQL would let one
// after the other commit.
type telling struct {
	mu     sync.Mutex // guards the fields below
	live   bool       // somebody takes what is put here
	topics map[Topic]bool
	more   chan struct{} // has room for one
}

// put leaves topics to be told.
func (t *telling) put(topics map[Topic]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.live || len(topics) == 0 {
		return
	}
	maps.Copy(t.topics, topics)
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// lives says whether somebody tells what is put.
func (t *telling) lives() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live
}

// begin takes what is put from now on.
func (t *telling) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live, t.topics, t.more = true, map[Topic]bool{}, make(chan struct{}, 1)
}

// end leaves telling to the transactions again. What was not told is lost, as every
// wake-up may be.
func (t *telling) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = false
}

func (t *telling) take() map[Topic]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	topics := t.topics
	t.topics = map[Topic]bool{}
	return topics
}

// tell tells other servers what is put, as fast as they can be told, until ctx or the
// connection ends.
func (db *DB) tell(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(db.name)
	if err != nil {
		return err
	}
	cfg.RuntimeParams["synchronous_commit"] = "off" // nothing is lost with a wake-up
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	db.telling.begin()
	defer db.telling.end()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-db.telling.more:
		}
		if _, err := conn.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, db.payload(db.telling.take())); err != nil {
			return err
		}
	}
}

// payload is what is told of topics: their names, and who tells.
func (db *DB) payload(topics map[Topic]bool) string {
	text := joined(topics)
	if len(text) > maxTold {
		text = joined(everything()) // which is more, and shorter
	}
	return text + "," + string(db.origin)
}

// heard gives the topics of a payload; none, if this server has told it: whoever waits
// here knows.
func (db *DB) heard(payload string) map[Topic]bool {
	topics := split(payload)
	if topics[db.origin] {
		return nil
	}
	return topics
}

func joined(topics map[Topic]bool) string {
	var names []string
	for t := range topics {
		names = append(names, string(t))
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func split(names string) map[Topic]bool {
	set := map[Topic]bool{}
	for _, n := range strings.Split(names, ",") {
		set[Topic(n)] = true
	}
	return set
}
