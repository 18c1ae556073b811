package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"plague"
)

// SeeCertificate writes down that a certificate was shown, if it is not known.
func (db *DB) SeeCertificate(ctx context.Context, c Certificate) error {
	return db.update(ctx, func(tx *tx) error {
		_, err := tx.putCertificate(c)
		return err
	})
}

const certificateColumns = `fingerprint, serial, role, name, seen_at, ends_at, revoked_at, revoked_by, why`

func scanCertificate(r row) (Certificate, error) {
	var c Certificate
	var seen, ends, revoked int64
	err := r.Scan(&c.Fingerprint, &c.Serial, &c.Role, &c.Name, &seen, &ends, &revoked, &c.RevokedBy, &c.Why)
	c.SeenAt, c.EndsAt, c.RevokedAt = timeOf(seen), timeOf(ends), timeOf(revoked)
	return c, err
}

// Certificates lists all that are known, by role and name, the newest last.
func (db *DB) Certificates(ctx context.Context) ([]Certificate, error) {
	cs, err := collect(reader{ctx, db}, scanCertificate, `SELECT `+certificateColumns+` FROM certificates ORDER BY role, name, ends_at, fingerprint`)
	return cs, db.trouble(err)
}

// Revoked lists the fingerprints of the certificates that are refused though they would
// still be valid.
func (db *DB) Revoked(ctx context.Context, now time.Time) ([]string, error) {
	fs, err := collect(reader{ctx, db}, text, `SELECT fingerprint FROM certificates WHERE revoked_at > 0 AND ends_at > $1 ORDER BY fingerprint`, us(now))
	return fs, db.trouble(err)
}

// Revoke has certificates refused from now on: all of a builder's or a user's name, or
// the one of a serial or fingerprint. A builder that joined and has none left that is
// good is a builder no more. It gives what was revoked.
func (db *DB) Revoke(ctx context.Context, at time.Time, who, which, why string) ([]Certificate, error) {
	var revoked []Certificate
	err := db.update(ctx, func(tx *tx) error {
		revoked = nil
		for {
			all, err := collect(tx, scanCertificate, `SELECT `+certificateColumns+` FROM certificates
				WHERE name = $1 OR serial = UPPER($1) OR fingerprint = LOWER($1) ORDER BY ends_at, fingerprint`+tx.db.forUpdate(), which)
			if err != nil {
				return err
			}
			good, err := revocable(all, at, which)
			if err != nil {
				return err
			}
			if len(good) == 0 {
				break
			}
			if err := tx.revokeAll(at, who, good, why); err != nil {
				return err
			}
			revoked = append(revoked, good...)
		}
		if len(revoked) == 0 {
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("every certificate of %q is revoked or has ended already", which), "")
		}
		tx.wake(TopicBuilders)
		return nil
	})
	return revoked, err
}

// revokeAll revokes what was found to be good. Who calls it looks again until nothing
// is: one of them may have been renewed while that was waited for, and PostgreSQL does
// not show to a statement what was committed since it began.
func (tx *tx) revokeAll(at time.Time, who string, good []Certificate, why string) error {
	for _, c := range good {
		if err := tx.revoke(at, who, c, why); err != nil {
			return err
		}
	}
	return nil
}

// revocable chooses out of the certificates that are called so those that are good.
func revocable(all []Certificate, at time.Time, which string) ([]Certificate, error) {
	if len(all) == 0 {
		return nil, plague.Refuse(plague.ErrNotFound, fmt.Sprintf("no certificate of %q was issued or seen here, by name or serial", which),
			"`plague cert list` shows those that were; one that never was can be given as a file")
	}
	good := slices.DeleteFunc(slices.Clone(all), func(c Certificate) bool { return !c.RevokedAt.IsZero() || !at.Before(c.EndsAt) })
	for _, c := range good {
		switch {
		case c.Role == "server":
			return nil, plague.Refuse(plague.ErrConflict, fmt.Sprintf("%s is the certificate of a server, and builders and packagers would not hear that it is revoked", c.Serial),
				"give the server a new one, and if its key was taken, the farm a new CA: docs/guide/certificates.md")
		case c.Role != good[0].Role || c.Name != good[0].Name:
			return nil, plague.Refuse(plague.ErrConflict, fmt.Sprintf("%q is what more than one is called: %s %s and %s %s", which, good[0].Role, good[0].Name, c.Role, c.Name),
				"give the fingerprint")
		}
	}
	return good, nil
}

func (tx *tx) revoke(at time.Time, who string, c Certificate, why string) error {
	n, err := tx.exec(`UPDATE certificates SET revoked_at = $1, revoked_by = $2, why = $3 WHERE fingerprint = $4 AND revoked_at = 0`, us(at), who, why, c.Fingerprint)
	if err := changed(n, err, "the certificate %s was revoked by somebody else", c.Serial); err != nil {
		return err
	}
	_, err = tx.exec(`DELETE FROM enrolled WHERE name = $1 AND $2 = 'builder' AND NOT EXISTS
		(SELECT 1 FROM certificates WHERE role = 'builder' AND name = $1 AND revoked_at = 0 AND ends_at > $3)`, c.Name, c.Role, us(at))
	if err != nil {
		return err
	}
	return tx.event(plague.Event{At: at, What: "certificate", To: "revoked", Who: who, Text: withWhy(c.Role+" "+c.Name+", serial "+c.Serial, why)})
}

// good refuses a certificate that was revoked.
func (tx *tx) good(c Certificate) error {
	known, err := scanCertificate(tx.row(`SELECT `+certificateColumns+` FROM certificates WHERE fingerprint = $1`+tx.db.forUpdate(), c.Fingerprint))
	if err != nil {
		return err
	}
	if !known.RevokedAt.IsZero() {
		return plague.Refuse(plague.ErrDenied, fmt.Sprintf("the certificate %s of %s was revoked", known.Serial, known.Name), "make a new token")
	}
	return nil
}
