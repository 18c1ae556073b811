package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"plague"
)

// Download is a claim to fetch the files of an ended attempt.
type Download struct {
	plague.AttemptID
	Builder string
	Job     plague.Job
	Kind    plague.Kind
	Arch    string
	Failure *plague.Failure // how the attempt ended; nil: well
	Files   []plague.Artifact
	Tries   int       // those in which nothing came
	Since   time.Time // when the attempt ended
}

// JobFile is a file of a job that is here and checked.
type JobFile struct {
	Arch    string
	Run     int
	Attempt int
	plague.Artifact
	RPM *RPM // nil for logs
}

// RPM is the identity in an RPM's header.
type RPM struct {
	Name             string
	Epoch            int
	Version, Release string
	Arch             string
	Source           bool
	Likeness         string // of a noarch RPM: rpm.Likeness; the same from each arch of a run. "" otherwise
}

// ClaimDownloads claims the downloads that have been due longest, most of them at most,
// for the time of the lease. Of one builder no more than fromOne are claimed at a time.
func (db *DB) ClaimDownloads(ctx context.Context, now time.Time, who string, lease time.Duration, most, fromOne int) ([]*Download, error) {
	var ds []*Download
	// Most looks find nothing; they shall not cost a transaction.
	due, err := collect(reader{ctx, db}, text, `SELECT claimant FROM downloads WHERE due <= $1 AND claimed_until <= $1 LIMIT 1`, us(now))
	if err != nil || len(due) == 0 {
		return nil, db.trouble(err)
	}
	err = db.update(ctx, func(tx *tx) error {
		ds = nil
		for len(ds) < most {
			d, err := tx.claimDownload(now, who, lease, fromOne)
			if errors.Is(tx.db.trouble(err), plague.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			ds = append(ds, d)
		}
		return nil
	})
	return ds, err
}

func (tx *tx) claimDownload(now time.Time, who string, lease time.Duration, fromOne int) (*Download, error) {
	var id plague.ArchJobID
	var tries int
	err := tx.row(`UPDATE downloads SET claimant = $1, claimed_until = $2 WHERE arch_job =
		(SELECT d.arch_job FROM downloads AS d WHERE d.due <= $3 AND d.claimed_until <= $3
			AND d.builder NOT IN (SELECT builder FROM downloads WHERE claimant <> '' AND claimed_until > $3 GROUP BY builder HAVING COUNT(*) >= $4)
			ORDER BY d.due, d.arch_job LIMIT 1`+tx.db.skipLocked("d")+`) RETURNING arch_job, tries`,
		who, us(now.Add(lease)), us(now), fromOne).Scan(&id, &tries)
	if err != nil {
		return nil, err
	}
	return tx.download(id, tries)
}

func (tx *tx) download(id plague.ArchJobID, tries int) (*Download, error) {
	a, err := scanArchJob(tx.row(`SELECT `+archColumns+` FROM arch_jobs WHERE id = $1`, id))
	if err != nil {
		return nil, err
	}
	j, err := scanJob(tx.row(`SELECT `+jobColumns+` FROM jobs WHERE uid = $1`, a.Job))
	if err != nil {
		return nil, err
	}
	d := &Download{
		AttemptID: plague.AttemptID{ArchJob: a.ID, Number: a.Attempt, Token: a.Token}, Builder: a.Builder, Job: j, Kind: a.Kind, Arch: a.Arch, Tries: tries, Since: a.StateAt,
	}
	if a.FailureKind != "" {
		d.Failure = &plague.Failure{Kind: a.FailureKind, Phase: a.FailurePhase, Message: a.Reason}
	}
	d.Files, err = collect(tx, func(r row) (plague.Artifact, error) {
		var f plague.Artifact
		err := r.Scan(&f.Name, &f.Digest, &f.Size)
		return f, err
	}, `SELECT name, digest, size FROM announced WHERE arch_job = $1 ORDER BY place`, id)
	return d, err
}

// DownloadLater gives a claim back until a time, and counts the try unless some
// of the files came. From a builder of which nothing came nobody fetches until then.
func (db *DB) DownloadLater(ctx context.Context, d *Download, who string, next time.Time, came bool, why string) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE downloads SET tries = tries + $1, due = $2, claimant = '', claimed_until = 0, last_error = $3
			WHERE arch_job = $4 AND number = $5 AND claimant = $6`, flag(!came), us(next), why, d.ArchJob, d.Number, who)
		if err := changed(n, err, "the download of arch job %d is no longer %s's", d.ArchJob, who); err != nil || came {
			return err
		}
		_, err = tx.exec(`UPDATE downloads SET due = $1 WHERE due < $1 AND claimant = '' AND builder = $2`, us(next), d.Builder)
		return err
	})
}

// Unclaim gives back all that a server had claimed before it died: its own
// leases are not worth waiting for.
func (db *DB) Unclaim(ctx context.Context, who string) error {
	return db.update(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE downloads SET claimant = '', claimed_until = 0 WHERE claimant = $1`, who)
		if n > 0 {
			tx.wake(TopicChores)
		}
		return err
	})
}

// settle makes sure that a download still is the claimant's and its attempt
// still the current one, and gives both rows.
func (tx *tx) settle(d *Download, who string) (plague.ArchJob, plague.Job, error) {
	a, j, err := tx.heldWithJob(d.AttemptID, d.Builder)
	if err != nil {
		return a, j, err
	}
	if a.State != plague.ArchDownloading {
		return a, j, fmt.Errorf("%w: arch job %d is %s", plague.ErrConflict, a.ID, a.State)
	}
	n, err := tx.exec(`DELETE FROM downloads WHERE arch_job = $1 AND number = $2 AND claimant = $3`, d.ArchJob, d.Number, who)
	return a, j, changed(n, err, "the download of arch job %d is no longer %s's", d.ArchJob, who)
}

// Accept ends an arch job whose files are all here: as the attempt ended. The
// last arch job of a run ends its building in the same transaction; the one that
// has made an SRPM takes its job to prep with it. A noarch RPM that is not what another
// arch of the run has made is an *UnlikeError, and nothing is done.
func (db *DB) Accept(ctx context.Context, at time.Time, d *Download, who string, files []JobFile) error {
	err := db.accept(ctx, at, d, who, files)
	if duplicate(err) { // another job got the same version in this moment, and is seen now
		err = db.accept(ctx, at, d, who, files)
	}
	return err
}

func (db *DB) accept(ctx context.Context, at time.Time, d *Download, who string, files []JobFile) error {
	return db.update(ctx, func(tx *tx) error {
		a, j, err := tx.settle(d, who)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := tx.like(j, f); err != nil {
				return err
			}
			if err := tx.file(j, f); err != nil {
				return err
			}
		}
		to, outcome := plague.ArchDone, "done"
		if d.Failure != nil {
			to, outcome = plague.ArchFailed, string(d.Failure.Kind)
		}
		if err := tx.moveArch(at, a, to, d.Builder, a.Reason); err != nil {
			return err
		}
		if err := tx.endAttempt(at, a, outcome, a.Reason); err != nil {
			return err
		}
		tx.wake(OrdersOf(d.Builder))
		source := slices.IndexFunc(files, func(f JobFile) bool { return f.RPM != nil && f.RPM.Source })
		if a.Kind == plague.KindSRPM && to == plague.ArchDone && source >= 0 {
			if j, err = tx.madeSRPM(at, j, files[source]); err != nil {
				return err
			}
		}
		if err := tx.runEnded(at, j); err != nil || a.Kind != plague.KindBuild || to != plague.ArchDone {
			return err
		}
		return tx.learn(a, j) // at last: on PostgreSQL the package's other builds wait for it
	})
}

func (tx *tx) file(j plague.Job, f JobFile) error {
	r := f.RPM
	if r == nil {
		r = &RPM{}
	}
	_, err := tx.exec(`INSERT INTO job_files (uid, run, arch, attempt, file, digest, size, rpm_name, rpm_epoch, rpm_version, rpm_release, rpm_arch, rpm_source, likeness)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		j.UID, f.Run, f.Arch, f.Attempt, f.Name, f.Digest, f.Size, r.Name, r.Epoch, r.Version, r.Release, r.Arch, flag(r.Source), r.Likeness)
	return err
}

// FailDownload ends an attempt whose result is not what was asked for (kind
// package: the arch job fails) or cannot be had (infrastructure: it is built
// again, within its run's budget for infrastructure).
func (db *DB) FailDownload(ctx context.Context, at time.Time, d *Download, who string, f plague.Failure, budget int) error {
	return db.update(ctx, func(tx *tx) error {
		a, j, err := tx.settle(d, who)
		if err != nil {
			return err
		}
		if f.Kind != plague.FailurePackage {
			_, err := tx.back(at, a, j, f.Kind, f.Message, budget)
			return err
		}
		if err := tx.moveArch(at, a, plague.ArchFailed, d.Builder, f.Message); err != nil {
			return err
		}
		if err := tx.endAttempt(at, a, string(f.Kind), f.Message); err != nil {
			return err
		}
		if _, err := tx.exec(`UPDATE arch_jobs SET failure_kind = $1, failure_phase = $2 WHERE id = $3`, f.Kind, f.Phase, a.ID); err != nil {
			return err
		}
		tx.wake(OrdersOf(d.Builder))
		return tx.runEnded(at, j)
	})
}

// Files lists the files of a run.
func (db *DB) Files(ctx context.Context, uid plague.JobID, run int) ([]JobFile, error) {
	fs, err := collect(reader{ctx, db}, scanFile, `SELECT `+fileColumns+` FROM job_files WHERE uid = $1 AND run = $2 ORDER BY arch, attempt, file`, uid, run)
	return fs, db.trouble(err)
}

const fileColumns = `run, arch, attempt, file, digest, size, rpm_name, rpm_epoch, rpm_version, rpm_release, rpm_arch, rpm_source, likeness`

func scanFile(r row) (JobFile, error) {
	var f JobFile
	var p RPM
	var source int
	err := r.Scan(&f.Run, &f.Arch, &f.Attempt, &f.Name, &f.Digest, &f.Size, &p.Name, &p.Epoch, &p.Version, &p.Release, &p.Arch, &source, &p.Likeness)
	if p.Name != "" {
		p.Source = source != 0
		f.RPM = &p
	}
	return f, err
}
