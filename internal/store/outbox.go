package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"plague"
)

// A Message is a mail that an event caused. It is made once for each event and
// recipient, and kept until the mail server has accepted it.
type Message struct {
	ID      int64
	Event   plague.EventID
	To      string // an e-mail address, as hostile as who asked for the certificate
	About   string // while it is not due, what is over withdraws it by this; empty: nothing does
	Subject string
	Body    string
	At      time.Time // of the event
	Due     time.Time
	Tries   int
	Error   string    // of the newest try
	EndedAt time.Time // zero: it waits
	Outcome string    // sent, given up, withdrawn
}

// Mails are what a stretch of events makes.
type Mails struct {
	New      []Message // Event, To, About, Subject, Body, At and Due count
	Withdraw []string  // what is over: messages about it that are not due yet are not sent
}

// Cursor says how far a reader of the events has come. A new reader begins with
// what happens next.
func (db *DB) Cursor(ctx context.Context, name string) (plague.EventID, error) {
	return db.place(ctx, `SELECT event FROM cursors WHERE name = $1`, `INSERT INTO cursors (name, event) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name)
}

// place reads a reader's cursor, and makes it at the end of the events if
// there is none.
func (db *DB) place(ctx context.Context, read, make, name string) (plague.EventID, error) {
	var at plague.EventID
	err := db.row(ctx, read, name).Scan(&at)
	if !errors.Is(err, sql.ErrNoRows) {
		return at, db.trouble(err)
	}
	last, err := db.LastEvent(ctx)
	if err != nil {
		return 0, err
	}
	err = db.update(ctx, func(tx *tx) error {
		if _, err := tx.exec(make, name, last); err != nil {
			return err
		}
		return tx.row(read, name).Scan(&at) // another server may have been quicker
	})
	return at, err
}

// Advance moves a cursor and writes what the events in between make, or
// nothing of both: ErrConflict says that another server has moved it.
func (db *DB) Advance(ctx context.Context, now time.Time, name string, from, to plague.EventID, m Mails) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE cursors SET event = $1 WHERE name = $2 AND event = $3`, to, name, from)
		if err := changed(n, err, "the cursor %s is no longer at %d", name, from); err != nil {
			return err
		}
		for _, one := range m.New {
			if err := tx.post(one); err != nil {
				return err
			}
		}
		for _, about := range m.Withdraw {
			_, err := tx.exec(`UPDATE outbox SET ended_at = $1, outcome = 'withdrawn' WHERE about = $2 AND about <> '' AND ended_at = 0 AND tries = 0 AND due > $1`, us(now), about)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (tx *tx) post(m Message) error {
	tx.wake(TopicChores)
	_, err := tx.exec(`INSERT INTO outbox (event, recipient, about, subject, body, at, due) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (event, recipient) DO NOTHING`, m.Event, m.To, m.About, m.Subject, m.Body, us(m.At), us(m.Due))
	return err
}

const messageColumns = `id, event, recipient, about, subject, body, at, due, tries, last_error, ended_at, outcome`

func scanMessage(r row) (Message, error) {
	var m Message
	var at, due, ended int64
	err := r.Scan(&m.ID, &m.Event, &m.To, &m.About, &m.Subject, &m.Body, &at, &due, &m.Tries, &m.Error, &ended, &m.Outcome)
	m.At, m.Due, m.EndedAt = timeOf(at), timeOf(due), timeOf(ended)
	return m, err
}

// ClaimMessage claims the message that has been due longest, for the time of
// the lease; nil: none is due.
func (db *DB) ClaimMessage(ctx context.Context, now time.Time, who string, lease time.Duration) (*Message, error) {
	// Most looks find nothing; they shall not cost a transaction.
	due, err := collect(reader{ctx, db}, text, `SELECT claimant FROM outbox WHERE ended_at = 0 AND due <= $1 AND claimed_until <= $1 LIMIT 1`, us(now))
	if err != nil || len(due) == 0 {
		return nil, db.trouble(err)
	}
	var m *Message
	err = db.update(ctx, func(tx *tx) error {
		m = nil
		one, err := scanMessage(tx.row(`UPDATE outbox SET claimant = $1, claimed_until = $2 WHERE id =
			(SELECT id FROM outbox WHERE ended_at = 0 AND due <= $3 AND claimed_until <= $3 ORDER BY due, id LIMIT 1`+tx.db.skipLocked("outbox")+`)
			RETURNING `+messageColumns, who, us(now.Add(lease)), us(now)))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		m = &one
		return err
	})
	return m, err
}

// Sent ends a message that the mail server has accepted.
func (db *DB) Sent(ctx context.Context, at time.Time, m *Message, who string) error {
	return db.update(ctx, func(tx *tx) error { return tx.endMessage(at, m, who, "sent", "") })
}

// GiveUpMessage ends a message that nobody accepts, with an event.
func (db *DB) GiveUpMessage(ctx context.Context, at time.Time, m *Message, who, why string) error {
	return db.update(ctx, func(tx *tx) error {
		if err := tx.endMessage(at, m, who, "given up", why); err != nil {
			return err
		}
		return tx.event(plague.Event{At: at, What: "mail", To: "given up", Who: m.To, Text: fmt.Sprintf("%s: %s", m.Subject, why)})
	})
}

func (tx *tx) endMessage(at time.Time, m *Message, who, outcome, why string) error {
	n, err := tx.exec(`UPDATE outbox SET ended_at = $1, outcome = $2, last_error = $3, tries = tries + 1, claimant = '', claimed_until = 0
		WHERE id = $4 AND claimant = $5 AND ended_at = 0`, us(at), outcome, why, m.ID, who)
	return changed(n, err, "message %d is no longer %s's", m.ID, who)
}

// MessageLater gives a claim back until a time, and counts the try.
func (db *DB) MessageLater(ctx context.Context, m *Message, who string, next time.Time, why string) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE outbox SET tries = tries + 1, due = $1, claimant = '', claimed_until = 0, last_error = $2
			WHERE id = $3 AND claimant = $4 AND ended_at = 0`, us(next), why, m.ID, who)
		return changed(n, err, "message %d is no longer %s's", m.ID, who)
	})
}

// Outbox lists the newest messages, those that wait or all.
func (db *DB) Outbox(ctx context.Context, waiting bool, limit int) ([]Message, error) {
	where := ``
	if waiting {
		where = ` WHERE ended_at = 0`
	}
	ms, err := collect(reader{ctx, db}, scanMessage, `SELECT `+messageColumns+` FROM outbox`+where+` ORDER BY id DESC LIMIT $1`, min(max(limit, 1), 1000))
	return ms, db.trouble(err)
}

// LateMessages counts the messages that wait though they were tried, or were due
// before a time: while a mail server is away, few of them are tried at all.
func (db *DB) LateMessages(ctx context.Context, before time.Time) (int, error) {
	var n int
	err := db.row(ctx, `SELECT COUNT(*) FROM outbox WHERE ended_at = 0 AND (tries > 0 OR due < $1)`, us(before)).Scan(&n)
	return n, db.trouble(err)
}

// DropMessages forgets messages that ended before a time.
func (db *DB) DropMessages(ctx context.Context, before time.Time) error {
	return db.update(ctx, func(tx *tx) error {
		_, err := tx.exec(`DELETE FROM outbox WHERE ended_at <> 0 AND ended_at < $1`, us(before))
		return err
	})
}
