package store

import (
	"context"
	"strings"

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
