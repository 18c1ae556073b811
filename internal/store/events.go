package store

import (
	"context"

	"plague"
)

const eventColumns = `id, at, uid, arch_job, what, old_state, new_state, who, text`

func scanEvent(r row) (plague.Event, error) {
	var e plague.Event
	var at int64
	err := r.Scan(&e.ID, &at, &e.Job, &e.ArchJob, &e.What, &e.From, &e.To, &e.Who, &e.Text)
	e.At = timeOf(at)
	return e, err
}

// event writes down what the transaction does.
func (tx *tx) event(e plague.Event) error {
	tx.wake(TopicEvents)
	_, err := tx.exec(`INSERT INTO events (id, at, uid, arch_job, what, old_state, new_state, who, text)
		VALUES (`+tx.nextEvent()+`, $1, $2, $3, $4, $5, $6, $7, $8)`,
		us(e.At), e.Job, e.ArchJob, e.What, e.From, e.To, e.Who, e.Text)
	return err
}

// AddEvent writes down an act that is no transition.
func (db *DB) AddEvent(ctx context.Context, e plague.Event) error {
	return db.update(ctx, func(tx *tx) error { return tx.event(e) })
}

// Events gives at most limit events after a cursor, in order. What it has
// given once, no later call with that cursor can have skipped.
func (db *DB) Events(ctx context.Context, since plague.EventID, limit int) ([]plague.Event, error) {
	until, err := db.LastEvent(ctx)
	if err != nil || until <= since {
		return nil, err
	}
	es, err := collect(reader{ctx, db}, scanEvent,
		`SELECT `+eventColumns+` FROM events WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3`, since, until, limit)
	return es, db.trouble(err)
}

// EventsOf is Events of one job.
func (db *DB) EventsOf(ctx context.Context, uid plague.JobID, since plague.EventID, limit int) ([]plague.Event, error) {
	until, err := db.LastEvent(ctx)
	if err != nil || until <= since {
		return nil, err
	}
	es, err := collect(reader{ctx, db}, scanEvent,
		`SELECT `+eventColumns+` FROM events WHERE uid = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4`, uid, since, until, limit)
	return es, db.trouble(err)
}

// JobEvents gives all events of a job.
func (db *DB) JobEvents(ctx context.Context, uid plague.JobID) ([]plague.Event, error) {
	es, err := collect(reader{ctx, db}, scanEvent, `SELECT `+eventColumns+` FROM events WHERE uid = $1 ORDER BY id`, uid)
	return es, db.trouble(err)
}

// LastEvent gives the newest cursor that skips nothing.
func (db *DB) LastEvent(ctx context.Context) (plague.EventID, error) {
	var id plague.EventID
	err := db.row(ctx, db.settled()).Scan(&id)
	return id, db.trouble(err)
}
