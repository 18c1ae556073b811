package store

import (
	"context"
	"fmt"
	"time"

	"plague"
)

// Finish says that a job's packages were signed and released elsewhere: it is
// legal for jobs that wait for their signature, and for no others.
func (db *DB) Finish(ctx context.Context, at time.Time, who string, uid plague.JobID) error {
	return db.update(ctx, func(tx *tx) error {
		j, err := tx.locked(uid)
		if err != nil {
			return err
		}
		if j.State != plague.JobNeedSign {
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d is %s", uid, j.State), "only jobs in needsign can be finished")
		}
		if err := tx.move(at, j, plague.JobReleased, who, "finished by "+who); err != nil {
			return err
		}
		tx.wake(TopicJobs)
		return nil
	})
}
