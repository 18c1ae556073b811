package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plague"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sync/errgroup"
	"modernc.org/sqlite"
)

func (db *DB) openPostgres(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(db.name)
	if err != nil {
		return plague.Refuse(plague.ErrInvalid, "the option userdb is no postgres:// address", "") // the address may hold a password
	}
	db.shown = fmt.Sprintf("postgres://%s:%d/%s", cfg.Host, cfg.Port, cfg.Database)
	cfg.ConnectTimeout = 10 * time.Second
	db.write = stdlib.OpenDB(*cfg)
	db.write.SetMaxOpenConns(20)
	db.write.SetMaxIdleConns(20)
	db.read = db.write
	if err := db.write.PingContext(ctx); err != nil {
		return fmt.Errorf("%w: database %s: %w", plague.ErrUnavailable, db.shown, err)
	}
	return nil
}

// givenUp says whether PostgreSQL ended a transaction in favour of another:
// serialization_failure and deadlock_detected.
func givenUp(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// listenPostgres waits for notifications, and connects again when the
// connection is lost: then anything may have changed.
func (db *DB) listenPostgres(ctx context.Context) error {
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		err := db.listenOnce(ctx)
		if ctx.Err() != nil {
			break
		}
		db.Log.WarnContext(ctx, "no notifications from the database", "error", err)
		if time.Since(began) > time.Minute {
			pause = 100 * time.Millisecond
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		pause = min(2*pause, 10*time.Second)
	}
	return ctx.Err()
}

func (db *DB) listenOnce(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return db.tell(ctx) })
	g.Go(func() error { return db.listen(ctx) })
	return g.Wait()
}

func (db *DB) listen(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, db.name)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	db.wakes.wake(everything()) // what was told before is not told again
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		db.wakes.wake(db.heard(n.Payload))
	}
}

// dialect holds the words in which the two databases differ.
//
//   - A row that is read to be changed is locked on PostgreSQL; SQLite has one
//     writer.
//   - A leader's transactions hold off the next leader on PostgreSQL.
//   - A claim passes over rows that another server is just claiming.
//   - The first event of a transaction on PostgreSQL takes a lock that readers
//     of events see, and they stop below the oldest: ids are given before
//     commits, and a cursor must not skip. (The oldest transaction that is open
//     is no measure: who takes a number first may have begun last.)
func (db *DB) forUpdate() string {
	if db.pg {
		return " FOR UPDATE"
	}
	return ""
}

func (db *DB) forShare() string {
	if db.pg {
		return " FOR SHARE"
	}
	return ""
}

func (db *DB) fencedTerm() string {
	if db.pg {
		return "SELECT fenced_term()"
	}
	return "SELECT term FROM leader WHERE id = 1"
}

// skipLocked has a SELECT take rows of one of its tables that nobody else is taking.
func (db *DB) skipLocked(of string) string {
	if db.pg {
		return " FOR UPDATE OF " + of + " SKIP LOCKED"
	}
	return ""
}

func (tx *tx) nextEvent() string {
	switch {
	case !tx.db.pg:
		return "NULL"
	case tx.events:
		return "nextval('event_ids')"
	}
	tx.events = true
	return "first_event()"
}

// settled is the newest event below which no other can appear. It has to be
// read before the events are, in a statement of its own.
func (db *DB) settled() string {
	if db.pg {
		return "SELECT settled_event()"
	}
	return "SELECT COALESCE(MAX(id), 0) FROM events"
}

// now is the database's own clock in microseconds: for the leader's row only,
// which servers with different clocks share.
func (db *DB) now() string {
	if db.pg {
		return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
	}
	return "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
}

// duplicate says whether an error is that of a unique index, on either
// database.
func duplicate(err error) bool {
	var pg *pgconn.PgError
	var lite *sqlite.Error
	return errors.As(err, &pg) && pg.Code == "23505" || errors.As(err, &lite) && lite.Code() == sqliteConstraintUnique
}

// sqliteConstraintUnique is SQLITE_CONSTRAINT_UNIQUE of sqlite3.h.
const sqliteConstraintUnique = 2067
