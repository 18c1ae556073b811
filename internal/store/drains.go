package store

import (
	"context"
	"fmt"
	"time"

	"plague"
)

// A Drain keeps a builder from getting anything new, until it is ended.
type Drain struct {
	Builder string
	At      time.Time
	Who     string    // user; empty: the farm itself
	Why     string    // for people; may be empty
	EndedAt time.Time // when the builder was resumed; zero: it is drained
}

// String says it in one line.
func (d *Drain) String() string {
	text := "drained by the farm itself"
	if d.Who != "" {
		text = "drained by " + d.Who
	}
	text += " at " + d.At.UTC().Format(time.DateTime)
	if d.Why != "" {
		text += ": " + d.Why
	}
	return text
}

// Drain keeps a builder from getting anything new until Resume. One that is drained
// already is plague.ErrConflict.
func (db *DB) Drain(ctx context.Context, d Drain) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`INSERT INTO drains (builder, at, who, why) VALUES ($1, $2, $3, $4) ON CONFLICT (builder) DO UPDATE
			SET at = excluded.at, who = excluded.who, why = excluded.why, ended_at = 0 WHERE drains.ended_at > 0`, d.Builder, us(d.At), d.Who, d.Why)
		if err == nil && n == 0 {
			err = plague.Refuse(plague.ErrConflict, fmt.Sprintf("builder %s is drained already", d.Builder), "`plague builder show "+d.Builder+"` says by whom and why")
		}
		if err != nil {
			return err
		}
		tx.wake(TopicBuilders)
		return tx.event(plague.Event{At: d.At, What: "farm", To: "drained", Who: d.Who, Text: withWhy(d.Builder, d.Why)})
	})
}

// Resume ends a Drain. A builder that has none is plague.ErrConflict.
func (db *DB) Resume(ctx context.Context, at time.Time, who, builder string) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE drains SET ended_at = $1 WHERE builder = $2 AND ended_at = 0`, us(at), builder)
		if err == nil && n == 0 {
			err = plague.Refuse(plague.ErrConflict, fmt.Sprintf("builder %s is not drained", builder), "what else keeps it from work, `plague builder show "+builder+"` says")
		}
		if err != nil {
			return err
		}
		tx.wake(TopicBuilders)
		return tx.event(plague.Event{At: at, What: "farm", To: "resumed", Who: who, Text: builder})
	})
}

func withWhy(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// Drains lists each builder's last drain, by name.
func (db *DB) Drains(ctx context.Context) ([]Drain, error) {
	ds, err := collect(reader{ctx, db}, func(r row) (Drain, error) {
		var d Drain
		var at, ended int64
		err := r.Scan(&d.Builder, &at, &d.Who, &d.Why, &ended)
		d.At, d.EndedAt = timeOf(at), timeOf(ended)
		return d, err
	}, `SELECT builder, at, who, why, ended_at FROM drains ORDER BY builder`)
	return ds, db.trouble(err)
}

// A Past is an attempt that has ended, with what became of its arch job.
type Past struct {
	plague.AttemptID
	Job       plague.JobID
	Package   string
	Arch      string
	BegunAt   time.Time
	EndedAt   time.Time
	Outcome   string // done, package, infrastructure, lost, killed, refused
	Reason    string
	State     plague.ArchState // of the arch job now
	Elsewhere bool             // it is done on another builder, by a later attempt or in a later run of its job
	Used      plague.Usage
}

// PastOf lists the attempts that ended last on a builder since a time, the newest
// first.
func (db *DB) PastOf(ctx context.Context, builder string, since time.Time, limit int) ([]Past, error) {
	ps, err := collect(reader{ctx, db}, func(r row) (Past, error) {
		var p Past
		var begun, ended int64
		err := r.Scan(&p.ArchJob, &p.Number, &p.Job, &p.Package, &p.Arch, &begun, &ended, &p.Outcome, &p.Reason, &p.State, &p.Elsewhere,
			&p.Used.Memory, &p.Used.Disk, &p.Used.Meter)
		p.BegunAt, p.EndedAt = timeOf(begun), timeOf(ended)
		return p, err
	}, `SELECT t.arch_job, t.number, a.uid, j.package, a.arch, t.begun_at, t.ended_at, t.outcome, t.reason, a.state,
			EXISTS (SELECT 1 FROM arch_jobs AS d WHERE d.uid = a.uid AND d.run >= a.run AND d.kind = a.kind AND d.arch = a.arch AND d.state = 'done' AND d.builder <> $1),
			t.memory, t.disk, t.meter
		FROM attempts AS t JOIN arch_jobs AS a ON a.id = t.arch_job JOIN jobs AS j ON j.uid = a.uid
		WHERE t.builder = $1 AND t.ended_at >= $2 AND t.ended_at > 0 ORDER BY t.ended_at DESC, t.arch_job DESC LIMIT $3`, builder, us(since), limit)
	return ps, db.trouble(err)
}
