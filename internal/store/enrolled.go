package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"plague"
)

// An Enrolled is a builder that joined by a token.
type Enrolled struct {
	Name string
	URL  string // https://host:port, where it waits for calls
	At   time.Time
	Who  string // made the token
}

// A Certificate is one that the farm has issued, or was shown at its doors.
type Certificate struct {
	Fingerprint string // SHA-256 of the certificate, hexadecimal
	Serial      string
	Role        string
	Name        string // a user's e-mail
	SeenAt      time.Time
	EndsAt      time.Time
	RevokedAt   time.Time // zero: it is good
	RevokedBy   string
	Why         string
}

// Enrol adds a builder, or has the one of that name be where it says now, with the
// certificate it was given; all servers take it into their rosters.
func (db *DB) Enrol(ctx context.Context, b Enrolled, c Certificate) error {
	return db.update(ctx, func(tx *tx) error {
		if _, err := tx.putCertificate(c); err != nil {
			return err
		}
		if err := tx.good(c); err != nil { // who has the old token could come back
			return err
		}
		_, err := tx.exec(`INSERT INTO enrolled (name, url, at, who) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET url = excluded.url, at = excluded.at, who = excluded.who`, b.Name, b.URL, us(b.At), b.Who)
		if err != nil {
			return err
		}
		tx.wake(TopicBuilders)
		return tx.event(plague.Event{At: b.At, What: "certificate", To: "issued", Who: b.Who,
			Text: "builder " + b.Name + " joined at " + b.URL + " with the certificate " + c.Serial})
	})
}

// Renewed writes down that a builder was given another certificate in the place of old,
// which must not have been revoked meanwhile.
func (db *DB) Renewed(ctx context.Context, old string, c Certificate) error {
	return db.update(ctx, func(tx *tx) error {
		if err := tx.good(Certificate{Fingerprint: old, Name: c.Name}); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := tx.putCertificate(c); err != nil {
			return err
		}
		return tx.event(plague.Event{At: c.SeenAt, What: "certificate", To: "renewed", Who: c.Name, Text: "builder " + c.Name + ", serial " + c.Serial})
	})
}

// RemoveBuilder takes a builder that joined by a token out of the farm, with all its
// certificates and its drain. One that did not join is plague.ErrConflict.
func (db *DB) RemoveBuilder(ctx context.Context, at time.Time, who, name, why string) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`DELETE FROM enrolled WHERE name = $1`, name)
		if err := changed(n, err, "builder %s was removed by somebody else, or never joined", name); err != nil {
			return err
		}
		for {
			good, err := collect(tx, scanCertificate, `SELECT `+certificateColumns+` FROM certificates
				WHERE role = 'builder' AND name = $1 AND revoked_at = 0 AND ends_at > $2 ORDER BY fingerprint`+tx.db.forUpdate(), name, us(at))
			if err != nil {
				return err
			}
			if len(good) == 0 {
				break
			}
			if err := tx.revokeAll(at, who, good, why); err != nil {
				return err
			}
		}
		if _, err := tx.exec(`UPDATE drains SET ended_at = $1 WHERE builder = $2 AND ended_at = 0`, us(at), name); err != nil {
			return err
		}
		tx.wake(TopicBuilders)
		return tx.event(plague.Event{At: at, What: "farm", To: "removed", Who: who, Text: withWhy(name, why)})
	})
}

// putCertificate says how many rows are new.
func (tx *tx) putCertificate(c Certificate) (int64, error) {
	return tx.exec(`INSERT INTO certificates (fingerprint, serial, role, name, seen_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (fingerprint) DO NOTHING`, c.Fingerprint, c.Serial, c.Role, c.Name, us(c.SeenAt), us(c.EndsAt))
}

// Enrolled lists the builders that joined by a token, by name.
func (db *DB) Enrolled(ctx context.Context) ([]Enrolled, error) {
	bs, err := collect(reader{ctx, db}, func(r row) (Enrolled, error) {
		var b Enrolled
		var at int64
		err := r.Scan(&b.Name, &b.URL, &at, &b.Who)
		b.At = timeOf(at)
		return b, err
	}, `SELECT name, url, at, who FROM enrolled ORDER BY name`)
	return bs, db.trouble(err)
}
