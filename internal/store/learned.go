package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"plague"
)

// learn keeps what a build that has ended well took and used.
func (tx *tx) learn(a plague.ArchJob, j plague.Job) error {
	var begun int64
	var used plague.Usage
	if err := tx.row(`SELECT begun_at, memory, disk FROM attempts WHERE arch_job = $1 AND number = $2`, a.ID, a.Attempt).Scan(&begun, &used.Memory, &used.Disk); err != nil {
		return err
	}
	l, err := tx.learned(j.Package, a.Arch)
	if err != nil {
		return err
	}
	l = l.After(max(0, a.StateAt.Sub(timeOf(begun))), used) // since then its files were fetched
	_, err = tx.exec(`INSERT INTO learned (package, arch, took, memory, disk) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (package, arch) DO UPDATE SET took = excluded.took, memory = excluded.memory, disk = excluded.disk`,
		j.Package, a.Arch, l.Took.Microseconds(), l.Memory, l.Disk)
	return err
}

func (tx *tx) learned(pkg, arch string) (l plague.Learned, err error) {
	var took int64
	err = tx.row(`SELECT took, memory, disk FROM learned WHERE package = $1 AND arch = $2`, pkg, arch).Scan(&took, &l.Memory, &l.Disk)
	l.Took = time.Duration(took) * time.Microsecond
	if errors.Is(tx.db.trouble(err), plague.ErrNotFound) {
		err = nil
	}
	return l, err
}

// A Build is what is learned of.
type Build struct{ Package, Arch string }

// mostAsked bounds the packages of one statement.
const mostAsked = 1000

// Learned is what is known of builds like those that are held.
func (db *DB) Learned(ctx context.Context, held []HeldRow) (map[Build]plague.Learned, error) {
	var packages []string
	for _, h := range held {
		packages = append(packages, h.JobRow.Package)
	}
	slices.Sort(packages)
	of := map[Build]plague.Learned{}
	for some := range slices.Chunk(slices.Compact(packages), mostAsked) {
		_, err := collect(reader{ctx, db}, func(r row) (b Build, err error) {
			var l plague.Learned
			var took int64
			err = r.Scan(&b.Package, &b.Arch, &took, &l.Memory, &l.Disk)
			l.Took = time.Duration(took) * time.Microsecond
			of[b] = l
			return b, err
		}, `SELECT package, arch, took, memory, disk FROM learned WHERE package IN (`+placeholders(1, len(some))+`)`, anys(some)...)
		if err != nil {
			return nil, db.trouble(err)
		}
	}
	return of, nil
}
