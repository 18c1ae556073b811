package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"plague"
)

// NoteBuilder writes down what the leader knows of a builder, if it differs; with an
// event, in the same transaction, when the builder takes nothing new any more (to
// suspended, with the reason) or does again (to ready). A new leader that finds it
// as it was writes none.
func (db *DB) NoteBuilder(ctx context.Context, t Term, at time.Time, b plague.Builder) error {
	return db.lead(ctx, t, func(tx *tx) error {
		was, err := text(tx.row(`SELECT suspended FROM builders WHERE name = $1`+tx.db.forUpdate(), b.Name))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := tx.putBuilder(b); err != nil {
			return err
		}
		if (was == "") == (b.Suspended == "") {
			return nil
		}
		e := plague.Event{At: at, What: "builder", From: "ready", To: "suspended", Who: b.Name, Text: b.Suspended}
		if b.Suspended == "" {
			e.From, e.To = e.To, e.From
		}
		return tx.event(e)
	})
}
