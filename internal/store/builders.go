package store

import (
	"context"
	"strings"
	"time"

	"plague"
)

// loadParts is what one of a builder's load is in the table.
const loadParts = 100

// putBuilder writes down what the leader knows of a builder, if it differs.
func (tx *tx) putBuilder(b plague.Builder) error {
	_, err := tx.exec(`INSERT INTO builders (name, address, instance, alive, suspended, arches, targets, slots, free, seen_at,
			memory, free_memory, free_disk, load, labels) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (name) DO UPDATE SET address = excluded.address, instance = excluded.instance,
			alive = excluded.alive, suspended = excluded.suspended, arches = excluded.arches, targets = excluded.targets,
			slots = excluded.slots, free = excluded.free, seen_at = excluded.seen_at,
			memory = excluded.memory, free_memory = excluded.free_memory, free_disk = excluded.free_disk, load = excluded.load, labels = excluded.labels
			WHERE (builders.address, builders.instance, builders.alive, builders.suspended, builders.arches, builders.targets, builders.slots, builders.free, builders.seen_at,
			builders.memory, builders.free_memory, builders.free_disk, builders.load, builders.labels)
			<> (excluded.address, excluded.instance, excluded.alive, excluded.suspended, excluded.arches, excluded.targets, excluded.slots, excluded.free, excluded.seen_at,
			excluded.memory, excluded.free_memory, excluded.free_disk, excluded.load, excluded.labels)`,
		b.Name, b.Address, b.Instance, flag(b.Alive), b.Suspended, strings.Join(b.Arches, " "), strings.Join(b.Targets, " "), b.Slots, b.Free, us(b.SeenAt),
		b.Machine.Memory, b.Machine.FreeMemory, b.Machine.FreeDisk, int64(b.Machine.Load*loadParts), strings.Join(b.Machine.Labels, " "))
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
		var seen, load int64
		var labels string
		m := &b.Machine
		err := r.Scan(&b.Name, &b.Address, &b.Instance, &alive, &b.Suspended, &arches, &targets, &b.Slots, &b.Free, &seen,
			&m.Memory, &m.FreeMemory, &m.FreeDisk, &load, &labels)
		b.Alive, b.Arches, b.Targets, b.SeenAt = alive != 0, strings.Fields(arches), strings.Fields(targets), timeOf(seen)
		m.Load, m.Labels = float64(load)/loadParts, strings.Fields(labels)
		return b, err
	}, `SELECT name, address, instance, alive, suspended, arches, targets, slots, free, seen_at,
		memory, free_memory, free_disk, load, labels FROM builders ORDER BY name`)
	return bs, db.trouble(err)
}
