package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"plague"
)

// A MailChoice says of which of one's own jobs one wants mail.
type MailChoice string

const (
	MailAll      MailChoice = "all" // whoever has not chosen
	MailFailures MailChoice = "failures"
	MailNone     MailChoice = "none"
)

// MailChoices lists them.
func MailChoices() []MailChoice { return []MailChoice{MailAll, MailFailures, MailNone} }

// MailChoice is what a user has chosen.
func (db *DB) MailChoice(ctx context.Context, email string) (MailChoice, error) {
	c, err := mailChoice(db.row(ctx, chosenMail, email))
	return c, db.trouble(err)
}

const chosenMail = `SELECT choice FROM mail_choices WHERE email = $1`

func mailChoice(r row) (MailChoice, error) {
	c, err := text(r)
	if errors.Is(err, sql.ErrNoRows) {
		return MailAll, nil
	}
	return MailChoice(c), err
}

// SetMailChoice chooses for a user, with an event if that changes anything.
func (db *DB) SetMailChoice(ctx context.Context, at time.Time, who, email string, c MailChoice) error {
	if !slices.Contains(MailChoices(), c) {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q is no choice of mails", c), "choose all, failures or none")
	}
	return db.update(ctx, func(tx *tx) error {
		// Two who choose at once take turns at the row, so there has to be one.
		if _, err := tx.exec(`INSERT INTO mail_choices (email, choice) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING`, email, MailAll); err != nil {
			return err
		}
		before, err := mailChoice(tx.row(chosenMail+tx.db.forUpdate(), email))
		if err != nil || before == c {
			return err
		}
		if _, err := tx.exec(`UPDATE mail_choices SET choice = $1 WHERE email = $2`, c, email); err != nil {
			return err
		}
		return tx.event(plague.Event{At: at, What: "user", From: "mail " + string(before), To: "mail " + string(c), Who: who, Text: email})
	})
}

// JobsOf lists the jobs that a snapshot of a target's build repository was the
// first to hold, by uid.
func (db *DB) JobsOf(ctx context.Context, target string, number int64) ([]plague.Job, error) {
	js, err := collect(reader{ctx, db}, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE uid IN
		(SELECT uid FROM members WHERE target = $1 AND line = $2 AND from_number = $3) ORDER BY uid`, target, plague.LineBuild, number)
	return js, db.trouble(err)
}
