package store

import (
	"context"
	"strings"
	"time"

	"plague"
)

// putBuilder writes down what the leader knows of a builder, if it differs.
func (tx *tx) putBuilder(b plague.Builder) error {
	_, err := tx.exec(`INSERT INTO builders (name, address, instance, alive, suspended, arches, targets, slots, free, seen_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (name) DO UPDATE SET address = excluded.address, instance = excluded.instance,
			alive = excluded.alive, suspended = excluded.suspended, arches = excluded.arches, targets = excluded.targets,
			slots = excluded.slots, free = excluded.free, seen_at = excluded.seen_at
			WHERE (builders.address, builders.instance, builders.alive, builders.suspended, builders.arches, builders.targets, builders.slots, builders.free, builders.seen_at)
			<> (excluded.address, excluded.instance, excluded.alive, excluded.suspended, excluded.arches, excluded.targets, excluded.slots, excluded.free, excluded.seen_at)`,
		b.Name, b.Address, b.Instance, flag(b.Alive), b.Suspended, strings.Join(b.Arches, " "), strings.Join(b.Targets, " "), b.Slots, b.Free, us(b.SeenAt))
	return err
}

// BuildersRead writes down that somebody had the option builders read again, and has
// all servers of the farm do so. text names the builders.
func (db *DB) BuildersRead(ctx context.Context, at time.Time, who, text string) error {
	return db.update(ctx, func(tx *tx) error {
		tx.wake(TopicBuilders)
		if _, err := tx.exec(`UPDATE farm SET roster = roster + 1 WHERE id = 1`); err != nil {
			return err
		}
		return tx.event(plague.Event{At: at, What: "farm", To: "builders", Who: who, Text: text})
	})
}

// Roster counts how often BuildersRead was called.
func (db *DB) Roster(ctx context.Context) (n int64, err error) {
	err = db.row(ctx, `SELECT roster FROM farm WHERE id = 1`).Scan(&n)
	return n, db.trouble(err)
}

// DropBuilders forgets the builders that the configuration does not name any
// more: all but keep.
func (db *DB) DropBuilders(ctx context.Context, t Term, keep []string) error {
	query := `DELETE FROM builders`
	if len(keep) > 0 {
		query += ` WHERE name NOT IN (` + placeholders(1, len(keep)) + `)`
	}
	return db.lead(ctx, t, func(tx *tx) error {
		_, err := tx.exec(query, anys(keep)...)
		return err
	})
}

// Builders lists what was written down, by name.
func (db *DB) Builders(ctx context.Context) ([]plague.Builder, error) {
	bs, err := collect(reader{ctx, db}, func(r row) (plague.Builder, error) {
		var b plague.Builder
		var alive int
		var arches, targets string
		var seen int64
		err := r.Scan(&b.Name, &b.Address, &b.Instance, &alive, &b.Suspended, &arches, &targets, &b.Slots, &b.Free, &seen)
		b.Alive, b.Arches, b.Targets, b.SeenAt = alive != 0, strings.Fields(arches), strings.Fields(targets), timeOf(seen)
		return b, err
	}, `SELECT name, address, instance, alive, suspended, arches, targets, slots, free, seen_at FROM builders ORDER BY name`)
	return bs, db.trouble(err)
}
