package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"plague"
)

// A Hook is a reader of the events to whom they are brought. It has its own
// place in them; what is behind it was delivered or not wanted.
type Hook struct {
	Name  string
	Event plague.EventID // its cursor
	Tries int            // in a row that failed
	Due   time.Time      // when the next may be made
}

// An Answer is what became of one delivery.
type Answer struct {
	Event  plague.EventID
	At     time.Time
	Took   time.Duration
	Status int    // of HTTP; 0: there was none
	Error  string // empty: it was delivered
}

// keptAnswers is how many of the newest answers of each hook stay.
const keptAnswers = 50

// AddHook makes sure that there is a hook and gives its cursor; a new one gets
// what happens next.
func (db *DB) AddHook(ctx context.Context, name string) (plague.EventID, error) {
	return db.place(ctx, `SELECT event FROM hooks WHERE name = $1`, `INSERT INTO hooks (name, event) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name)
}

const hookColumns = `name, event, tries, due`

func scanHook(r row) (Hook, error) {
	var h Hook
	var due int64
	err := r.Scan(&h.Name, &h.Event, &h.Tries, &due)
	h.Due = timeOf(due)
	return h, err
}

// ClaimHook claims the next deliveries of a hook for the time of the lease;
// nil: it is not due, or another server has it. Whoever has it may claim it
// again.
func (db *DB) ClaimHook(ctx context.Context, now time.Time, name, who string, lease time.Duration) (*Hook, error) {
	var h *Hook
	err := db.update(ctx, func(tx *tx) error {
		h = nil
		one, err := scanHook(tx.row(`UPDATE hooks SET claimant = $1, claimed_until = $2 WHERE name = $3 AND due <= $4 AND (claimed_until <= $4 OR claimant = $1)
			RETURNING `+hookColumns, who, us(now.Add(lease)), name, us(now)))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		h = &one
		return err
	})
	return h, err
}

// Delivered moves a hook's cursor; the answer is nil for events that it does
// not want.
func (db *DB) Delivered(ctx context.Context, h *Hook, who string, to plague.EventID, a *Answer) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE hooks SET event = $1, tries = 0, due = 0 WHERE name = $2 AND claimant = $3 AND event = $4`, to, h.Name, who, h.Event)
		if err := changed(n, err, "the hook %s is no longer %s's", h.Name, who); err != nil {
			return err
		}
		return tx.answer(h.Name, a)
	})
}

// HookLater puts the next delivery off, counts the try and ends the claim.
func (db *DB) HookLater(ctx context.Context, h *Hook, who string, next time.Time, a *Answer) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE hooks SET tries = tries + 1, due = $1, claimant = '', claimed_until = 0 WHERE name = $2 AND claimant = $3`, us(next), h.Name, who)
		if err := changed(n, err, "the hook %s is no longer %s's", h.Name, who); err != nil {
			return err
		}
		return tx.answer(h.Name, a)
	})
}

// SkipHook moves a hook over events that could not be delivered in time, with
// an event that says so.
func (db *DB) SkipHook(ctx context.Context, at time.Time, h *Hook, who string, to plague.EventID, events int) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE hooks SET event = $1 WHERE name = $2 AND claimant = $3 AND event = $4`, to, h.Name, who, h.Event)
		if err := changed(n, err, "the hook %s is no longer %s's", h.Name, who); err != nil {
			return err
		}
		return tx.event(plague.Event{At: at, What: "hook", To: "given up", Who: h.Name,
			Text: fmt.Sprintf("%d events after %d, up to %d, were not delivered in time", events, h.Event, to)})
	})
}

// ReleaseHook ends a claim.
func (db *DB) ReleaseHook(ctx context.Context, name, who string) error {
	return db.update(ctx, func(tx *tx) error {
		_, err := tx.exec(`UPDATE hooks SET claimant = '', claimed_until = 0 WHERE name = $1 AND claimant = $2`, name, who)
		return err
	})
}

func (tx *tx) answer(hook string, a *Answer) error {
	if a == nil {
		return nil
	}
	_, err := tx.exec(`INSERT INTO hook_answers (hook, event, at, took, status, error) VALUES ($1, $2, $3, $4, $5, $6)`,
		hook, a.Event, us(a.At), a.Took.Microseconds(), a.Status, a.Error)
	if err != nil {
		return err
	}
	_, err = tx.exec(`DELETE FROM hook_answers WHERE hook = $1 AND id <=
		(SELECT id FROM hook_answers WHERE hook = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, hook, keptAnswers)
	return err
}

// Hooks lists all hooks by name.
func (db *DB) Hooks(ctx context.Context) ([]Hook, error) {
	hs, err := collect(reader{ctx, db}, scanHook, `SELECT `+hookColumns+` FROM hooks ORDER BY name`)
	return hs, db.trouble(err)
}

// HookAnswers lists the newest answers of a hook, newest first.
func (db *DB) HookAnswers(ctx context.Context, name string) ([]Answer, error) {
	as, err := collect(reader{ctx, db}, func(r row) (Answer, error) {
		var a Answer
		var at, took int64
		err := r.Scan(&a.Event, &at, &took, &a.Status, &a.Error)
		a.At, a.Took = timeOf(at), time.Duration(took)*time.Microsecond
		return a, err
	}, `SELECT event, at, took, status, error FROM hook_answers WHERE hook = $1 ORDER BY id DESC`, name)
	return as, db.trouble(err)
}
