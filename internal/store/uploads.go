package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plague"
)

// BeginUpload lets a user send an SRPM, or the rest of one, if with it he has not more
// than quota bytes here that no job names. What he has begun to send counts whole: else
// a thousand uploads that are never ended, or sent at once, would count nothing.
func (db *DB) BeginUpload(ctx context.Context, at time.Time, user, digest string, size, quota int64) error {
	return db.update(ctx, func(tx *tx) error {
		// one at a time of each user
		if _, err := collect(tx, text, `SELECT email FROM users WHERE email = $1`+tx.db.forUpdate(), user); err != nil {
			return err
		}
		used, err := uploaded(tx, user, digest)
		if err != nil {
			return err
		}
		if size > quota-used {
			return plague.Refuse(plague.ErrDenied, fmt.Sprintf("%d bytes are too many: %s has %d of uploads that no job uses, and the quota is %d", size, user, used, quota),
				"what no job uses is deleted after 24 hours; upload_quota in the server's configuration sets the quota")
		}
		_, err = tx.exec(`INSERT INTO receiving (username, digest, size, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (username, digest) DO UPDATE SET size = excluded.size, at = excluded.at`, user, digest, size, us(at))
		return err
	})
}

// ForgetUpload forgets that a user has begun to send an SRPM: nothing of it was kept.
func (db *DB) ForgetUpload(ctx context.Context, user, digest string) error {
	return db.update(ctx, func(tx *tx) error { return tx.received(user, digest) })
}

func (tx *tx) received(user, digest string) error {
	_, err := tx.exec(`DELETE FROM receiving WHERE username = $1 AND digest = $2`, user, digest)
	return err
}

// AddUpload remembers who uploaded an SRPM.
func (db *DB) AddUpload(ctx context.Context, at time.Time, user, digest string, size int64) error {
	return db.update(ctx, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO uploads (username, digest, size, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (username, digest) DO UPDATE SET at = excluded.at`, user, digest, size, us(at))
		return errors.Join(err, tx.received(user, digest))
	})
}

// Uploaded gives the bytes that a user has uploaded, or begun to, and no job names.
func (db *DB) Uploaded(ctx context.Context, user string) (int64, error) {
	n, err := uploaded(reader{ctx, db}, user, "")
	return n, db.trouble(err)
}

// uploaded leaves one digest out: that of an upload that goes on.
func uploaded(q querier, user, but string) (int64, error) {
	sums, err := collect(q, scanSum, `SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM
		(SELECT digest, size FROM uploads WHERE username = $1 UNION SELECT digest, size FROM receiving WHERE username = $1) AS u
		WHERE digest <> $2 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.srpm = u.digest)`, user, but)
	if err != nil {
		return 0, err
	}
	return sums[0], nil
}

func scanSum(r row) (int64, error) {
	var n int64
	err := r.Scan(&n)
	return n, err
}

// DropUploads forgets uploads from before a time, and gives the digests that
// nothing names any more.
func (db *DB) DropUploads(ctx context.Context, t Term, before time.Time) ([]string, error) {
	var dropped []string
	err := db.lead(ctx, t, func(tx *tx) error {
		old, err := collect(tx, text, `SELECT DISTINCT digest FROM uploads WHERE at < $1`, us(before))
		if err != nil {
			return err
		}
		if _, err := tx.exec(`DELETE FROM receiving WHERE at < $1`, us(before)); err != nil || len(old) == 0 {
			return err
		}
		if _, err := tx.exec(`DELETE FROM uploads WHERE at < $1`, us(before)); err != nil {
			return err
		}
		dropped = nil
		for _, d := range old {
			used, err := referenced(tx, d)
			if err != nil {
				return err
			}
			if !used {
				dropped = append(dropped, d)
			}
		}
		return nil
	})
	return dropped, err
}
