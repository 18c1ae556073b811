package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"plague"
	"plague/internal/artifact"
)

// record is what the journal keeps of an attempt: written and fsynced before
// it begins, never changed.
type record struct {
	ID         plague.AttemptID
	Work       plague.Work
	Slot       int
	AcceptedAt time.Time
}

// Files of an attempt's folder.
const (
	attemptsDir = "attempts"
	recordFile  = "order.json" // the journal: its presence means that a supervisor may begin
	outcomeFile = "outcome.json"
	srpmFile    = "source.src.rpm"
	filesDir    = "files" // logs and RPMs, as they are served
)

func dirName(id plague.AttemptID) string {
	return path.Join(attemptsDir, fmt.Sprintf("%d-%d", id.ArchJob, id.Number))
}

// journal makes the attempt's folder and record.
func (b *Builder) journal(a *attempt) error {
	dir := dirName(a.record.ID)
	// A folder with this name is of an attempt that another farm, or a
	// restored one, numbered the same: orders have forgotten it by now.
	if err := b.Work.RemoveAll(dir); err != nil {
		return err
	}
	if err := b.Work.MkdirAll(path.Join(dir, filesDir), 0o755); err != nil {
		return err
	}
	// The daemon's own file, so that it may lock it after a supervisor has,
	// which is root. Its name comes to the disk with the record's.
	if err := b.Work.Touch(path.Join(dir, lockFile), 0o600); err != nil {
		return err
	}
	data, err := json.Marshal(a.record)
	if err != nil {
		return err
	}
	return b.Work.WriteFile(path.Join(dir, recordFile), data, 0o644)
}

// remove deletes an attempt's folder. One that was refused has one, too, if
// the disk failed while it was journalled.
func (b *Builder) remove(a *attempt) error {
	if a.record.AcceptedAt.IsZero() {
		return nil
	}
	return b.Work.RemoveAll(dirName(a.record.ID))
}

// readJournal takes up what an earlier daemon left.
func (b *Builder) readJournal() error {
	if err := b.Work.MkdirAll(attemptsDir, 0o755); err != nil {
		return err
	}
	entries, err := b.Work.ReadDir(attemptsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := path.Join(attemptsDir, e.Name())
		var r record
		err := b.readJSON(path.Join(dir, recordFile), &r)
		if failed := new(fs.PathError); errors.As(err, &failed) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("journal: %w", err) // the disk is in trouble: nothing is known of the attempt
		}
		if err != nil {
			// Without a whole record it was never begun, nor acknowledged.
			if err := b.Work.RemoveAll(dir); err != nil {
				return err
			}
			continue
		}
		a := newAttempt(plague.AttemptReport{AttemptID: r.ID, Phase: plague.PhaseDownloading, BegunAt: r.AcceptedAt})
		a.record = r
		b.attempts[r.ID] = a
		var o Outcome
		if b.readJSON(path.Join(dir, outcomeFile), &o) == nil {
			a.end(o)
			continue
		}
		a.report.Phase = plague.PhasePrepping
		b.begin <- a
	}
	return nil
}

// dropSRPMs deletes what attempts were fetching when an earlier daemon ended: they
// do not go on, and a whole SRPM is in its attempt's folder.
func (b *Builder) dropSRPMs() error {
	var errs []error
	err := b.SRPMs.List(context.Background(), func(i artifact.Info) bool {
		errs = append(errs, b.SRPMs.Remove(i.Digest))
		return true
	})
	return errors.Join(err, errors.Join(errs...), b.SRPMs.Sweep(0))
}

func (b *Builder) readJSON(name string, into any) error {
	data, err := b.Work.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
