// Package store is the farm's database: every SQL statement, on SQLite and on
// PostgreSQL with the same text. Only it writes states. A transition is one
// guarded statement named after its event; no row changed means that somebody
// else was there first (plague.ErrConflict).
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"plague"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// Options say how a database is opened. The zero value works.
type Options struct {
	Log *slog.Logger // default: discard
	// Exclusive is for servers: a SQLite database has one at a time, held by
	// a lock on a file beside it. Other programs may write all the same.
	Exclusive bool
	// Hook is asked before every statement and every commit; an error means
	// that nothing takes effect. It is the seam for injected faults.
	Hook func(op string) error
}

// DB is a farm's database. Its methods may be called from any goroutine.
type DB struct {
	Options
	name  string
	shown string // name without a password
	read  *sql.DB
	write *sql.DB // SQLite: one connection; PostgreSQL: the same as read
	pg    bool
	lock  *os.File
	wakes wakes

	origin  Topic   // names this DB among those who tell what has changed
	telling telling // PostgreSQL

	prepared statements // of the readers
	writing  statements // of the writer (SQLite)

	turn   chan struct{}   // holds one token while somebody writes (SQLite)
	wanted map[string]bool // what transactions ran unprepared; whoever has the turn

	mu      sync.Mutex // guards the field below
	waiting []*pending
}

// Open opens and migrates the database that name tells: a path (SQLite) or
// postgres://… .
func Open(ctx context.Context, name string, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	db := &DB{Options: o, name: name, turn: make(chan struct{}, 1), wanted: map[string]bool{}, origin: "@" + Topic(rand.Text())}
	open := db.openSQLite
	if strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://") {
		db.pg, open = true, db.openPostgres
	}
	err := open(ctx)
	if err == nil {
		err = db.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// prepare brings the schema up to date and gives the farm its name.
func (db *DB) prepare(ctx context.Context) error {
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	if db.pg {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
	}
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return err
	}
	options, unlock, err := db.oneMigrates(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	provider, err := goose.NewProvider(dialect, db.write, files, options...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("%w: migrations of %s: %w", plague.ErrUnavailable, db.shown, err)
	}
	return db.update(ctx, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO farm (id, name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, rand.Text())
		return err
	})
}

// Close closes the database. Nobody may be using it.
func (db *DB) Close() error {
	var err error
	if db.read != nil && db.read != db.write {
		err = db.read.Close()
	}
	if db.write != nil {
		err = errors.Join(err, db.write.Close())
	}
	if db.lock != nil {
		err = errors.Join(err, db.lock.Close())
	}
	return err
}

// Postgres says whether several servers may share this database.
func (db *DB) Postgres() bool { return db.pg }

// FarmID is the farm's random name: orders carry it.
func (db *DB) FarmID(ctx context.Context) (string, error) {
	var name string
	err := db.row(ctx, `SELECT name FROM farm WHERE id = 1`).Scan(&name)
	return name, db.trouble(err)
}

// us turns a time into a column, timeOf a column into a time.
func us(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// trouble gives errors of the driver a kind: no row is ErrNotFound, what the
// farm itself refused stays, everything else may pass: ErrUnavailable.
func (db *DB) trouble(err error) error {
	switch {
	case err == nil, errors.Is(err, plague.ErrConflict), errors.Is(err, plague.ErrInvalid), errors.Is(err, plague.ErrNotFound),
		errors.Is(err, plague.ErrDenied), errors.Is(err, plague.ErrUnavailable), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return plague.ErrNotFound
	}
	return fmt.Errorf("%w: database: %w", plague.ErrUnavailable, err)
}
