package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plague"
)

// Refused is the kind of trouble that costs no budget: the builder did not
// take the attempt up.
const Refused plague.FailureKind = "refused"

// held reads the arch job of an attempt if that is its current one and the
// builder holds it; otherwise ErrConflict.
func (tx *tx) held(id plague.AttemptID, builder string) (plague.ArchJob, error) {
	a, err := scanArchJob(tx.row(`SELECT `+archColumns+` FROM arch_jobs WHERE id = $1`+tx.db.forUpdate(), id.ArchJob))
	if err != nil {
		return a, err
	}
	if a.Attempt != id.Number || a.Token != id.Token || a.Builder != builder || !a.State.Held() {
		return a, fmt.Errorf("%w: builder %s does not hold attempt %d of arch job %d", plague.ErrConflict, builder, id.Number, id.ArchJob)
	}
	return a, nil
}

// heldWithJob locks the job first: what may end the run has to.
func (tx *tx) heldWithJob(id plague.AttemptID, builder string) (plague.ArchJob, plague.Job, error) {
	var uid plague.JobID
	if err := tx.row(`SELECT uid FROM arch_jobs WHERE id = $1`, id.ArchJob).Scan(&uid); err != nil {
		return plague.ArchJob{}, plague.Job{}, err
	}
	j, err := tx.locked(uid)
	if err != nil {
		return plague.ArchJob{}, j, err
	}
	a, err := tx.held(id, builder)
	return a, j, err
}

// Running takes in that an attempt works, and on what. A phase that is known
// already changes nothing.
func (db *DB) Running(ctx context.Context, t Term, at time.Time, id plague.AttemptID, builder string, phase plague.Phase) error {
	return db.lead(ctx, t, func(tx *tx) error {
		a, err := tx.held(id, builder)
		if err != nil {
			return err
		}
		switch a.State {
		case plague.ArchAssigned:
			if err := tx.moveArch(at, a, plague.ArchRunning, builder, ""); err != nil {
				return err
			}
		case plague.ArchRunning:
		default:
			return fmt.Errorf("%w: arch job %d is %s", plague.ErrConflict, a.ID, a.State)
		}
		_, err = tx.exec(`UPDATE arch_jobs SET phase = $1 WHERE id = $2 AND attempt = $3 AND phase <> $1`, phase, a.ID, a.Attempt)
		return err
	})
}

// Ended takes in that an attempt has ended, well or (f) not, what files it announces,
// which are to be downloaded before it counts, and what it used.
func (db *DB) Ended(ctx context.Context, t Term, at time.Time, id plague.AttemptID, builder string, f *plague.Failure, files []plague.Artifact, used plague.Usage) error {
	return db.lead(ctx, t, func(tx *tx) error {
		a, err := tx.held(id, builder)
		if err != nil {
			return err
		}
		if a.State == plague.ArchDownloading {
			return fmt.Errorf("%w: arch job %d has ended already", plague.ErrConflict, a.ID)
		}
		if f == nil {
			f = &plague.Failure{Phase: plague.PhaseDone}
		}
		if err := tx.moveArch(at, a, plague.ArchDownloading, builder, f.Message); err != nil {
			return err
		}
		if _, err := tx.exec(`UPDATE arch_jobs SET failure_kind = $1, failure_phase = $2, phase = $3 WHERE id = $4`, f.Kind, f.Phase, ending(f), a.ID); err != nil {
			return err
		}
		if used != (plague.Usage{}) {
			if _, err := tx.exec(`UPDATE attempts SET memory = $1, disk = $2, meter = $3 WHERE arch_job = $4 AND number = $5`, used.Memory, used.Disk, used.Meter, a.ID, a.Attempt); err != nil {
				return err
			}
		}
		if _, err := tx.exec(`INSERT INTO downloads (arch_job, number, builder, due) VALUES ($1, $2, $3, $4)`, a.ID, a.Attempt, builder, us(at)); err != nil {
			return err
		}
		for i, file := range files {
			if _, err := tx.exec(`INSERT INTO announced (arch_job, place, name, digest, size) VALUES ($1, $2, $3, $4, $5)`, a.ID, i, file.Name, file.Digest, file.Size); err != nil {
				return err
			}
		}
		tx.wake(TopicChores, TopicQueue)
		return nil
	})
}

func ending(f *plague.Failure) plague.Phase {
	if f.Kind == "" {
		return plague.PhaseDone
	}
	return plague.PhaseFailed
}

// Outgrown puts an arch job back into the queue because it needs a larger builder than
// one with so many bytes of what it ran out of. A run does so once; ErrConflict.
func (db *DB) Outgrown(ctx context.Context, t Term, at time.Time, id plague.AttemptID, builder string, f plague.Failure) error {
	return db.lead(ctx, t, func(tx *tx) error {
		a, j, err := tx.heldWithJob(id, builder)
		if err != nil {
			return err
		}
		if a.Outgrew != "" || !f.Kind.Size() {
			return fmt.Errorf("%w: arch job %d has been given to a larger builder before", plague.ErrConflict, a.ID)
		}
		if _, err := tx.exec(`UPDATE arch_jobs SET outgrew = $1, above = $2 WHERE id = $3`, f.Kind, f.Had, a.ID); err != nil {
			return err
		}
		_, err = tx.back(at, a, j, f.Kind, f.Message, 0)
		return err
	})
}

// Back puts an arch job back into the queue because its attempt was lost, had
// trouble that is not the package's, or was refused. When the run's budget for
// that kind is used up the arch job fails instead, naming all its attempts'
// reasons; final says so.
func (db *DB) Back(ctx context.Context, t Term, at time.Time, id plague.AttemptID, builder string, kind plague.FailureKind, reason string, budget int) (final bool, err error) {
	err = db.lead(ctx, t, func(tx *tx) error {
		a, j, err := tx.heldWithJob(id, builder)
		if err != nil {
			return err
		}
		final, err = tx.back(at, a, j, kind, reason, budget)
		return err
	})
	return final, err
}

func (tx *tx) back(at time.Time, a plague.ArchJob, j plague.Job, kind plague.FailureKind, reason string, budget int) (final bool, err error) {
	if err := tx.endAttempt(at, a, string(kind), reason); err != nil {
		return false, err
	}
	lost, infra := a.Lost, a.Infra
	switch kind {
	case plague.FailureLost:
		lost++
		final = lost >= budget
	case plague.FailureInfrastructure:
		infra++
		final = infra >= budget
	}
	if _, err := tx.exec(`UPDATE arch_jobs SET lost = $1, infra = $2, phase = '', failure_kind = '', failure_phase = '' WHERE id = $3`, lost, infra, a.ID); err != nil {
		return false, err
	}
	tx.wake(TopicQueue, OrdersOf(a.Builder))
	if !final {
		return false, tx.moveArch(at, a, plague.ArchQueued, a.Builder, reason)
	}
	reasons, err := tx.reasons(a.ID)
	if err != nil {
		return false, err
	}
	if err := tx.moveArch(at, a, plague.ArchFailed, a.Builder, fmt.Sprintf("given up after %d attempts: %s", a.Attempt, reasons)); err != nil {
		return false, err
	}
	if _, err := tx.exec(`UPDATE arch_jobs SET failure_kind = $1 WHERE id = $2`, kind, a.ID); err != nil {
		return false, err
	}
	return true, tx.runEnded(at, j)
}

// reasons joins what ended each attempt of an arch job.
func (tx *tx) reasons(id plague.ArchJobID) (string, error) {
	all, err := collect(tx, text, `SELECT reason FROM attempts WHERE arch_job = $1 AND reason <> '' ORDER BY number`, id)
	var distinct []string
	for _, r := range all {
		if len(distinct) == 0 || distinct[len(distinct)-1] != r {
			distinct = append(distinct, r)
		}
	}
	return strings.Join(distinct, "; "), err
}
