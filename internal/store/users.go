package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plague"
)

const userColumns = `email, own_jobs, kill_any_job, modify_users, server_admin`

func scanUser(r row) (plague.User, error) {
	var u plague.User
	has := make([]int, 4)
	if err := r.Scan(&u.Email, &has[0], &has[1], &has[2], &has[3]); err != nil {
		return u, err
	}
	for i, c := range plague.Capabilities() {
		if has[i] != 0 {
			u.Capabilities = append(u.Capabilities, c)
		}
	}
	return u, nil
}

// User finds a user by e-mail; ErrNotFound.
func (db *DB) User(ctx context.Context, email string) (plague.User, error) {
	u, err := scanUser(db.row(ctx, `SELECT `+userColumns+` FROM users WHERE email = $1`, email))
	return u, db.trouble(err)
}

// Users lists all users by e-mail.
func (db *DB) Users(ctx context.Context) ([]plague.User, error) {
	us, err := collect(reader{ctx, db}, scanUser, `SELECT `+userColumns+` FROM users ORDER BY email`)
	return us, db.trouble(err)
}

// PutUser adds a user, or gives one exactly these capabilities.
func (db *DB) PutUser(ctx context.Context, at time.Time, who string, u plague.User) error {
	if !strings.Contains(u.Email, "@") || strings.ContainsAny(u.Email, " \t\r\n,;") || len(u.Email) > 254 {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q is not an e-mail address", u.Email), "")
	}
	return db.update(ctx, func(tx *tx) error {
		if !u.Can(plague.ModifyUsers) {
			if err := tx.notLastAdmin(u.Email); err != nil {
				return err
			}
		}
		return tx.putUser(at, who, u)
	})
}

func (tx *tx) putUser(at time.Time, who string, u plague.User) error {
	args := []any{u.Email}
	for _, c := range plague.Capabilities() {
		args = append(args, flag(u.Can(c)))
	}
	_, err := tx.exec(`INSERT INTO users (`+userColumns+`) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email) DO UPDATE SET
		own_jobs = excluded.own_jobs, kill_any_job = excluded.kill_any_job, modify_users = excluded.modify_users, server_admin = excluded.server_admin`, args...)
	if err != nil {
		return err
	}
	tx.wake(TopicFarm)
	return tx.event(plague.Event{At: at, What: "user", To: "has", Who: who, Text: fmt.Sprintf("%s %v", u.Email, u.Capabilities)})
}

// ChangeUser changes or (keep false) removes a user: change says how he will be, from
// how he is at that moment, or refuses. It gives what came of him; his jobs stay.
func (db *DB) ChangeUser(ctx context.Context, at time.Time, who, email string, keep bool, change func(u plague.User, there bool) (plague.User, error)) (plague.User, error) {
	var u plague.User
	err := db.update(ctx, func(tx *tx) (err error) {
		u, err = scanUser(tx.row(`SELECT `+userColumns+` FROM users WHERE email = $1`+tx.db.forUpdate(), email))
		there := err == nil
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if u, err = change(u, there); err != nil {
			return err
		}
		if !keep || !u.Can(plague.ModifyUsers) {
			if err := tx.notLastAdmin(email); err != nil {
				return err
			}
		}
		if keep {
			return tx.putUser(at, who, u)
		}
		return tx.dropUser(at, who, email)
	})
	return u, err
}

func (tx *tx) dropUser(at time.Time, who, email string) error {
	if _, err := tx.exec(`DELETE FROM users WHERE email = $1`, email); err != nil {
		return err
	}
	tx.wake(TopicFarm)
	return tx.event(plague.Event{At: at, What: "user", To: "deleted", Who: who, Text: email})
}

// notLastAdmin refuses what would leave nobody who can let others in. It holds
// those who can: two may be taking each other's place away.
func (tx *tx) notLastAdmin(email string) error {
	admins, err := collect(tx, text, `SELECT email FROM users WHERE modify_users = 1 ORDER BY email`+tx.db.forUpdate())
	if err != nil {
		return err
	}
	if len(admins) == 1 && slices.Contains(admins, email) {
		return plague.Refuse(plague.ErrConflict, email+" is the last user with modify_users", "give it to another one first")
	}
	return nil
}

// ImportUsers takes over the users of an old users' file, once for each file.
func (db *DB) ImportUsers(ctx context.Context, at time.Time, path string) (int, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	old, err := readOldUsers(ctx, path)
	if err != nil {
		return 0, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is not a users' file: %v", path, err), "")
	}
	done := 0
	err = db.update(ctx, func(tx *tx) error {
		done = 0
		n, err := tx.exec(`INSERT INTO imports (path, at) VALUES ($1, $2) ON CONFLICT (path) DO NOTHING`, path, us(at))
		if err != nil || n == 0 {
			return err
		}
		for _, u := range old {
			if err := tx.putUser(at, "import of "+path, u); err != nil {
				return err
			}
			done++
		}
		return nil
	})
	return done, err
}

// readOldUsers reads the table of 2005, with either set of column names.
func readOldUsers(ctx context.Context, path string) ([]plague.User, error) {
	old, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer old.Close()
	var problems error
	for _, columns := range []string{`email, own_jobs, kill_any_job, modify_users, server_admin`, `email, own_jobs, job_admin, user_admin, server_admin`} {
		rows, err := old.QueryContext(ctx, `SELECT `+columns+` FROM users`)
		if err != nil {
			problems = errors.Join(problems, err)
			continue
		}
		defer rows.Close()
		var us []plague.User
		for rows.Next() {
			u, err := scanUser(rows)
			if err != nil {
				return nil, err
			}
			us = append(us, u)
		}
		return us, rows.Err()
	}
	return nil, problems
}

// Paused says whether the farm starts no new jobs, and who decided that.
func (db *DB) Paused(ctx context.Context) (bool, string, error) {
	var paused int
	var who string
	err := db.row(ctx, `SELECT paused, paused_by FROM farm WHERE id = 1`).Scan(&paused, &who)
	return paused != 0, who, db.trouble(err)
}

// SetPaused pauses the farm or lets it go on.
func (db *DB) SetPaused(ctx context.Context, at time.Time, who string, paused bool) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE farm SET paused = $1, paused_by = $2 WHERE id = 1 AND paused <> $1`, flag(paused), who)
		if err != nil || n == 0 {
			return err
		}
		to := "goes on"
		if paused {
			to = "paused"
		}
		tx.wake(TopicFarm, TopicJobs)
		return tx.event(plague.Event{At: at, What: "farm", To: to, Who: who})
	})
}
