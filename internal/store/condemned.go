package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"plague"
)

// An artifact that nothing names is deleted in two steps. Condemn puts it on a
// list; after a notice, longer than anybody takes from Spare to the row that
// names the artifact, Deleting decides. Whoever is about to name an artifact
// that may be there already calls Spare before looking whether it is: then
// either it stays, or it is being deleted and the caller hears that.

// Condemn puts those of the artifacts on the list that nothing names.
func (db *DB) Condemn(ctx context.Context, t Term, at time.Time, digests []string) error {
	for some := range slices.Chunk(digests, manyNamed) {
		used, err := using(reader{ctx, db}, some)
		if err != nil {
			return db.trouble(err)
		}
		unused := slices.DeleteFunc(slices.Clone(some), func(d string) bool { return slices.Contains(used, d) })
		if len(unused) == 0 {
			continue
		}
		err = db.lead(ctx, t, func(tx *tx) error {
			for _, d := range unused {
				if _, err := tx.exec(`INSERT INTO condemned (digest, at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`, d, us(at)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// using lists those of the artifacts that something names.
func using(q querier, digests []string) ([]string, error) {
	in, args := named(digests)
	return collect(q, text, `SELECT digest FROM uploads WHERE digest IN (`+in+`) UNION SELECT srpm FROM jobs WHERE srpm IN (`+in+`)
		UNION SELECT digest FROM job_files WHERE digest IN (`+in+`) UNION SELECT digest FROM members WHERE digest IN (`+in+`)
		UNION SELECT digest FROM announced WHERE digest IN (`+in+`)`, args...)
}

// Spare takes artifacts off the list, for a caller who is about to name them.
// One that is being deleted at this moment is ErrUnavailable.
func (db *DB) Spare(ctx context.Context, digests []string) error {
	for some := range slices.Chunk(digests, manyNamed) {
		in, args := named(some)
		listed := `SELECT digest FROM condemned WHERE digest IN (` + in + `)`
		found, err := collect(reader{ctx, db}, text, listed, args...) // most are not, and shall not cost a transaction
		if err != nil {
			return db.trouble(err)
		}
		if len(found) == 0 {
			continue
		}
		err = db.update(ctx, func(tx *tx) error {
			if _, err := tx.exec(`DELETE FROM condemned WHERE dying = 0 AND digest IN (`+in+`)`, args...); err != nil {
				return err
			}
			dying, err := collect(tx, text, listed, args...)
			if err == nil && len(dying) > 0 {
				err = plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("an old copy of %s is being deleted at this moment", dying[0]), "try again in a minute")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Deleting decides on artifacts that were condemned before a time. It gives
// those that still nothing names: their files are to be deleted now, and until
// Deleted nobody can come to name them. What an earlier leader had begun to
// delete is among them.
func (db *DB) Deleting(ctx context.Context, t Term, before time.Time, limit int) ([]string, error) {
	var dying []string
	err := db.lead(ctx, t, func(tx *tx) error {
		dying = nil
		// On PostgreSQL the rows are held: a Spare that comes now waits, and
		// then sees what was decided.
		listed, err := collect(tx, text, `SELECT digest FROM condemned WHERE dying = 1 OR at < $1 ORDER BY digest LIMIT $2`+tx.db.forUpdate(), us(before), limit)
		if err != nil || len(listed) == 0 {
			return err
		}
		used, err := using(tx, listed)
		if err != nil {
			return err
		}
		for _, d := range listed {
			query := `UPDATE condemned SET dying = 1 WHERE digest = $1`
			if slices.Contains(used, d) {
				query = `DELETE FROM condemned WHERE digest = $1`
			} else {
				dying = append(dying, d)
			}
			if _, err := tx.exec(query, d); err != nil {
				return err
			}
		}
		return nil
	})
	return dying, err
}

// Discard decides at once on an artifact that its bringer has no use for: true
// if nothing names it, and its file is to be deleted like Deleting's. It is
// listed before the look: who spared it earlier has announced it by then, and
// who comes later is refused.
func (db *DB) Discard(ctx context.Context, at time.Time, digest string) (bool, error) {
	err := db.update(ctx, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO condemned (digest, at, dying) VALUES ($1, $2, 1) ON CONFLICT (digest) DO UPDATE SET dying = 1`, digest, us(at))
		return err
	})
	if err != nil {
		return false, err
	}
	used, err := using(reader{ctx, db}, []string{digest})
	if err != nil {
		return false, db.trouble(err)
	}
	if len(used) > 0 {
		return false, db.Deleted(ctx, used)
	}
	return true, nil
}

// Deleted forgets artifacts whose files have been deleted. Only one process at
// a time may be between the decision and here.
func (db *DB) Deleted(ctx context.Context, digests []string) error {
	return db.update(ctx, func(tx *tx) error {
		for _, d := range digests {
			if _, err := tx.exec(`DELETE FROM condemned WHERE digest = $1 AND dying = 1`, d); err != nil {
				return err
			}
		}
		return nil
	})
}
