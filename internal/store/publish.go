package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"plague"
)

// Publication is a job that waits for the next snapshot, with its binary RPMs.
type Publication struct {
	Job  plague.Job
	RPMs []plague.RepoRPM
}

// PublishTargets lists the targets that have jobs in addtorepo.
func (db *DB) PublishTargets(ctx context.Context) ([]string, error) {
	ts, err := collect(reader{ctx, db}, text, `SELECT DISTINCT target FROM jobs WHERE state = 'addtorepo' ORDER BY target`)
	return ts, db.trouble(err)
}

// ToPublish lists the jobs of a target in addtorepo, by uid. A noarch RPM that
// several arch jobs made is there once: the first's.
func (db *DB) ToPublish(ctx context.Context, target string) ([]Publication, error) {
	jobs, err := collect(reader{ctx, db}, scanJob, `SELECT `+jobColumns+` FROM jobs WHERE state = 'addtorepo' AND target = $1 ORDER BY uid`, target)
	if err != nil {
		return nil, db.trouble(err)
	}
	var ps []Publication
	for _, j := range jobs {
		files, err := collect(reader{ctx, db}, scanFile, `SELECT `+prefixed("f", fileColumns)+` FROM job_files AS f
			JOIN arch_jobs AS a ON a.uid = f.uid AND a.run = f.run AND a.arch = f.arch AND a.attempt = f.attempt AND a.state = 'done'
			WHERE f.uid = $1 AND f.run = $2 AND f.rpm_name <> '' AND f.rpm_source = 0 ORDER BY a.id, f.file`, j.UID, j.Run)
		if err != nil {
			return nil, db.trouble(err)
		}
		p := Publication{Job: j}
		seen := map[string]bool{}
		for _, f := range files {
			if seen[f.Name] {
				continue
			}
			seen[f.Name] = true
			r := f.RPM
			p.RPMs = append(p.RPMs, plague.RepoRPM{Job: j.UID, Name: r.Name, Epoch: r.Epoch, Vers: r.Version, Rel: r.Release, Arch: r.Arch, File: f.Artifact})
		}
		ps = append(ps, p)
	}
	return ps, nil
}

const memberColumns = `uid, name, epoch, version, release, arch, arches, file, digest, size`

func scanMember(r row) (plague.RepoRPM, error) {
	var m plague.RepoRPM
	var arches string
	err := r.Scan(&m.Job, &m.Name, &m.Epoch, &m.Vers, &m.Rel, &m.Arch, &arches, &m.File.Name, &m.File.Digest, &m.File.Size)
	m.Arches = strings.Fields(arches)
	return m, err
}

// Members lists the RPMs of a snapshot.
func (db *DB) Members(ctx context.Context, target string, line plague.Line, number int64) ([]plague.RepoRPM, error) {
	ms, err := collect(reader{ctx, db}, scanMember, `SELECT `+memberColumns+` FROM members WHERE target = $1 AND line = $2
		AND from_number <= $3 AND (until_number = 0 OR until_number > $3) ORDER BY uid, file`, target, line, number)
	return ms, db.trouble(err)
}

// Current is the number of a line's newest snapshot; 0: it has none.
func (db *DB) Current(ctx context.Context, target string, line plague.Line) (int64, error) {
	var n int64
	err := db.row(ctx, `SELECT number FROM pointers WHERE target = $1 AND line = $2`, target, line).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, db.trouble(err)
}

// Owner says which source package's job brought an RPM of that name, version,
// release and arch into a repository, though it be retired since: a name is given
// once, for dnf and mirrors may have the file for ever. "": nobody's. The epoch does
// not matter: it is not in the file's name.
func (db *DB) Owner(ctx context.Context, target string, line plague.Line, r plague.RepoRPM) (string, plague.JobID, error) {
	var pkg string
	var uid plague.JobID
	err := db.row(ctx, `SELECT j.package, j.uid FROM members AS m JOIN jobs AS j ON j.uid = m.uid WHERE m.target = $1 AND m.line = $2
		AND m.name = $3 AND m.version = $4 AND m.release = $5 AND m.arch = $6 ORDER BY m.uid LIMIT 1`,
		target, line, r.Name, r.Vers, r.Rel, r.Arch).Scan(&pkg, &uid)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, nil
	}
	return pkg, uid, db.trouble(err)
}

// Publish makes a snapshot true: its row, the pointer from the one before to
// it, its new members, and every job from addtorepo over repodone to needsign,
// in one transaction. If the pointer has moved, a job is in addtorepo no more,
// or an RPM is there already, nothing is done: ErrConflict.
func (db *DB) Publish(ctx context.Context, t Term, at time.Time, s plague.Snapshot, ps []Publication) error {
	return db.lead(ctx, t, func(tx *tx) error {
		if err := tx.advance(at, s); err != nil {
			return err
		}
		for _, p := range ps {
			if err := tx.publishJob(at, s, p); err != nil {
				return err
			}
		}
		tx.wake(TopicJobs)
		return nil
	})
}

// advance makes a snapshot the newest of its line.
func (tx *tx) advance(at time.Time, s plague.Snapshot) error {
	if err := tx.point(s); err != nil {
		return err
	}
	if _, err := tx.exec(`INSERT INTO snapshots (target, line, number, parent, at) VALUES ($1, $2, $3, $4, $5)`, s.Target, s.Line, s.Number, s.Parent, us(at)); err != nil {
		return err
	}
	return tx.event(plague.Event{At: at, What: "published", From: fmt.Sprint(s.Parent), To: fmt.Sprint(s.Number), Text: s.Target})
}

func (tx *tx) point(s plague.Snapshot) error {
	query := `UPDATE pointers SET number = $1 WHERE target = $2 AND line = $3 AND number = $4`
	if s.Parent == 0 {
		query = `INSERT INTO pointers (number, target, line) SELECT $1, $2, $3 WHERE $4 = 0 ON CONFLICT (target, line) DO NOTHING`
	}
	n, err := tx.exec(query, s.Number, s.Target, s.Line, s.Parent)
	return changed(n, err, "%s is no longer at snapshot %d", s.Target, s.Parent)
}

func (tx *tx) publishJob(at time.Time, s plague.Snapshot, p Publication) error {
	j, err := tx.locked(p.Job.UID)
	if err != nil {
		return err
	}
	if j.Run != p.Job.Run || j.State != plague.JobAddToRepo {
		return fmt.Errorf("%w: job %d is no longer in addtorepo", plague.ErrConflict, j.UID)
	}
	for _, m := range p.RPMs {
		_, err := tx.exec(`INSERT INTO members (target, line, uid, name, epoch, version, release, arch, arches, file, digest, size, from_number)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, s.Target, s.Line, m.Job, m.Name, m.Epoch, m.Vers, m.Rel, m.Arch,
			strings.Join(m.Arches, " "), m.File.Name, m.File.Digest, m.File.Size, s.Number)
		if duplicate(err) {
			return fmt.Errorf("%w: %s of job %d is in %s already", plague.ErrConflict, m.File.Name, m.Job, s.Target)
		}
		if err != nil {
			return err
		}
	}
	if _, err := tx.exec(`UPDATE jobs SET snapshot = $1 WHERE uid = $2`, s.Number, j.UID); err != nil {
		return err
	}
	for _, to := range []plague.JobState{plague.JobRepoDone, plague.JobNeedSign} {
		if err := tx.move(at, j, to, "", ""); err != nil {
			return err
		}
		j.State = to
	}
	return nil
}

// PinnedSnapshots lists the snapshots of a target that unfinished runs are
// pinned to.
func (db *DB) PinnedSnapshots(ctx context.Context, target string) ([]int64, error) {
	ns, err := collect(reader{ctx, db}, func(r row) (int64, error) {
		var n int64
		err := r.Scan(&n)
		return n, err
	}, `SELECT DISTINCT p.snapshot FROM jobs AS j JOIN pins AS p ON p.uid = j.uid AND p.run = j.run
		WHERE j.target = $1 AND j.state IN ('initialize', 'checkout', 'make_srpm', 'prep', 'building', 'finished', 'addtorepo') AND p.snapshot > 0`, target)
	return ns, db.trouble(err)
}
