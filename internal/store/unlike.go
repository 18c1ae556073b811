package store

import (
	"errors"
	"fmt"

	"plague"
)

// An UnlikeError says that two arches of one run made different noarch RPMs of one
// name. It is a plague.ErrConflict.
type UnlikeError struct {
	File         string
	Arch, Other  string // the one that is not accepted, and the one that has been
	Mine, Theirs string // digests of the files
}

func (e *UnlikeError) Error() string {
	return fmt.Sprintf("%s of %s is not like the one of %s", e.File, e.Arch, e.Other)
}

// Unwrap gives the kind.
func (e *UnlikeError) Unwrap() error { return plague.ErrConflict }

// like compares a noarch RPM with those of its name that other arches of the run have
// made. The job's row is locked: of two that come at once, the second sees the first.
func (tx *tx) like(j plague.Job, f JobFile) error {
	if f.RPM == nil || f.RPM.Likeness == "" {
		return nil
	}
	e := &UnlikeError{File: f.Name, Arch: f.Arch, Mine: f.Digest}
	err := tx.row(`SELECT arch, digest FROM job_files WHERE uid = $1 AND run = $2 AND file = $3 AND arch <> $4 AND likeness <> '' AND likeness <> $5
		ORDER BY arch LIMIT 1`, j.UID, f.Run, f.Name, f.Arch, f.RPM.Likeness).Scan(&e.Other, &e.Theirs)
	if errors.Is(tx.db.trouble(err), plague.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return e
}
