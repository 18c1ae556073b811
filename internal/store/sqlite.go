package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"plague"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

const readers = 4

// openSQLite opens the file with one writer and a few readers. The pragmas
// are in the DSN: a statement would reach one connection of the pool only.
func (db *DB) openSQLite(ctx context.Context) error {
	path, err := filepath.Abs(db.name)
	if err != nil {
		return err
	}
	db.name, db.shown = path, path
	if db.Exclusive {
		if err := db.lockFile(path + ".lock"); err != nil {
			return err
		}
	}
	// Made here, so that it is nobody else's to read: users and jobs are in it.
	// Only if it is not there: to close a file that SQLite has open in this
	// process would end SQLite's locks on it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the database %s cannot be opened: %v", path, err), "the option userdb names it")
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "journal_size_limit(67108864)", "cache_size(-16000)", "temp_store(2)",
	}}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	if db.write, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	db.write.SetConnMaxIdleTime(0)
	if db.read, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	if err := db.write.PingContext(ctx); err != nil {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is not a farm's database: %v", path, err), "the option userdb names it")
	}
	return nil
}

// oneMigrates keeps other processes off while this one migrates: a lock on a
// file beside SQLite's, a lock of the session on PostgreSQL.
func (db *DB) oneMigrates(ctx context.Context) ([]goose.ProviderOption, func(), error) {
	if db.pg {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		return []goose.ProviderOption{goose.WithSessionLocker(locker)}, func() {}, err
	}
	f, err := os.OpenFile(db.name+".migration", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: lock for migrations: %w", plague.ErrUnavailable, err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil, func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (db *DB) lockFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the lock %s cannot be opened: %v", name, err), "")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return plague.Refuse(plague.ErrConflict, fmt.Sprintf("another server has the database %s", db.name), "a SQLite farm has one server; PostgreSQL allows more")
	}
	db.lock = f
	return nil
}

// listenSQLite notices what other processes write, such as
// plague-user-manager: the writer's connection sees its data_version change.
func (db *DB) listenSQLite(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	last := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		var version int64
		err := db.write.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				db.Log.WarnContext(ctx, "database not asked for changes", "error", err)
			}
			continue
		}
		if last >= 0 && version != last {
			db.wakes.wake(everything())
		}
		last = version
	}
}

// Listen hears of what other processes change and wakes those who wait, until
// ctx ends.
func (db *DB) Listen(ctx context.Context) error {
	if db.pg {
		return db.listenPostgres(ctx)
	}
	return db.listenSQLite(ctx)
}
