package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"plague"
)

// SetPriority has a job go before or after others from now on. ErrConflict: nothing
// of it waits any more.
func (db *DB) SetPriority(ctx context.Context, at time.Time, who string, uid plague.JobID, priority int) error {
	return db.update(ctx, func(tx *tx) error {
		j, err := tx.locked(uid)
		if errors.Is(err, sql.ErrNoRows) {
			return plague.Refuse(plague.ErrNotFound, fmt.Sprintf("there is no job %d", uid), "")
		}
		switch {
		case err != nil:
			return err
		case j.Resting() || j.State.Published():
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("job %d is %s", uid, j.State), "a priority says who waits longer, and nothing of this job waits any more")
		case j.Priority == priority:
			return nil
		}
		if _, err := tx.exec(`UPDATE jobs SET priority = $1 WHERE uid = $2`, priority, uid); err != nil {
			return err
		}
		tx.wake(TopicJobs, TopicQueue)
		return tx.event(plague.Event{At: at, Job: uid, What: "priority", From: strconv.Itoa(j.Priority), To: strconv.Itoa(priority), Who: who})
	})
}
