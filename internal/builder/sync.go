package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"plague"
	"plague/internal/durable"
)

// Bound is the farm that a builder obeys, and the newest orders of it that were
// acted on: kept on disk so that a restart does not open the door to old ones.
type Bound struct {
	Farm     string `json:"farm"` // empty: none yet
	Term     int64  `json:"term"`
	Sequence int64  `json:"sequence"`
}

const fenceFile = "orders.json"

// Rebind makes the builder of a work folder, which must not run, obey the next
// farm that it hears of, and gives the one it obeyed.
func Rebind(work *durable.Dir) (was Bound, err error) {
	f, err := work.Open(fenceFile)
	if errors.Is(err, fs.ErrNotExist) {
		return was, nil
	}
	if err != nil {
		return was, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || json.NewDecoder(io.LimitReader(f, 1<<16)).Decode(&was) != nil {
		was = Bound{Farm: "unknown"} // what cannot be read is what is to be forgotten
	}
	return was, work.Remove(fenceFile)
}

func (b *Builder) readFence() error {
	data, err := b.Work.ReadFile(fenceFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &b.fence); err != nil {
		return fmt.Errorf("%s: %w", b.Work.Path(fenceFile), err)
	}
	return nil
}

// Sync takes orders and answers with a report: at once if it says more than
// the orders have seen, else when it does, when newer orders come, or after
// the orders' wait.
func (b *Builder) Sync(ctx context.Context, o plague.Orders) (plague.Report, error) {
	if err := b.fits(o.Software); err != nil {
		return plague.Report{}, err
	}
	b.mu.Lock()
	if err := b.obey(o); err != nil {
		b.mu.Unlock()
		return plague.Report{}, err
	}
	close(b.parked)
	parked := make(chan struct{})
	b.parked = parked
	news := o.Instance != b.instance || o.Seen < b.version
	changed := b.changed
	b.mu.Unlock()
	if !news && o.Wait > 0 {
		t := time.NewTimer(o.Wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-changed:
		case <-parked:
		case <-b.done:
		}
	}
	return b.Report(), nil
}

// obey does what orders say. Orders of the same term that are older than the
// newest change nothing and are answered all the same; those of another farm
// or an older leader are refused. b.mu is held.
func (b *Builder) obey(o plague.Orders) error {
	switch f := b.fence; {
	case o.Farm == "":
		return plague.Refuse(plague.ErrInvalid, "the orders name no farm", "")
	case f.Farm != "" && f.Farm != o.Farm:
		return plague.Refuse(plague.ErrConflict, fmt.Sprintf("builder %s belongs to another farm (%s)", b.Name, f.Farm),
			"`plague builder rebind` on the builder accepts the new one")
	case o.Term < f.Term:
		return plague.Refuse(plague.ErrConflict, fmt.Sprintf("the orders are of term %d, builder %s has heard of term %d", o.Term, b.Name, f.Term),
			"an older leader ends by itself; of a farm that was restored from a backup, `plague builder rebind` on the builder accepts the orders")
	case o.Term == f.Term && o.Sequence <= f.Sequence:
		return nil
	}
	if b.changes(o) || o.Farm != b.fence.Farm || o.Term != b.fence.Term {
		// Only orders that change something have to be remembered over a
		// restart: before them, older ones say the same.
		err := b.writeFence(o)
		if errors.Is(err, syscall.ENOSPC) {
			err = errors.Join(b.makeRoom(o), b.writeFence(o))
		}
		if err != nil {
			return b.full("keep orders", err)
		}
	}
	b.fence = Bound{o.Farm, o.Term, o.Sequence}
	for _, order := range o.Attempts {
		b.follow(order)
	}
	return nil
}

// changes says whether orders ask for anything that is not so already.
func (b *Builder) changes(o plague.Orders) bool {
	return slices.ContainsFunc(o.Attempts, func(order plague.Order) bool {
		return (order.Verb == plague.VerbRun) != (b.attempts[order.AttemptID] != nil)
	})
}

func (b *Builder) writeFence(o plague.Orders) error {
	data, err := json.Marshal(Bound{o.Farm, o.Term, o.Sequence})
	if err != nil {
		return err
	}
	return b.Work.WriteFile(fenceFile, data, 0o600)
}

// makeRoom deletes the files of what is to be forgotten before that is kept: on a
// full disk it could not be kept otherwise, nor could the disk become empty. That
// the attempts were there and have ended stays in the journal. b.mu is held.
func (b *Builder) makeRoom(o plague.Orders) error {
	var errs []error
	for _, order := range o.Attempts {
		if a := b.attempts[order.AttemptID]; a != nil && order.Verb == plague.VerbForget && a.ended() {
			errs = append(errs, b.Work.RemoveAll(path.Join(dirName(order.AttemptID), filesDir)))
		}
	}
	return errors.Join(errs...)
}

// follow does what orders say of one attempt. b.mu is held.
func (b *Builder) follow(o plague.Order) {
	a := b.attempts[o.AttemptID]
	if a != nil {
		a.named = time.Now()
	}
	switch o.Verb {
	case plague.VerbRun:
		if a == nil {
			b.accept(o)
		}
	case plague.VerbStop:
		if a != nil {
			a.stop()
		}
	case plague.VerbForget:
		if a == nil {
			return
		}
		if !a.ended() {
			a.stop() // forgotten with the orders after its end
			return
		}
		if err := b.remove(a); err != nil {
			b.Log.Warn("attempt not deleted, will try again", "arch_job", o.ArchJob, "attempt", o.Number, "error", err)
			return
		}
		delete(b.attempts, o.AttemptID)
		b.touch()
	}
}

// accept takes up an attempt, or says why not. b.mu is held.
func (b *Builder) accept(o plague.Order) {
	a := newAttempt(plague.AttemptReport{AttemptID: o.AttemptID, Phase: plague.PhaseDownloading, BegunAt: time.Now()})
	slot, why := b.slotFor(o)
	if why == "" {
		a.record = record{ID: o.AttemptID, Work: *o.Work, Slot: slot, AcceptedAt: a.report.BegunAt}
		if err := b.journal(a); err != nil {
			why = b.full("journal an attempt", err).Error()
		}
	}
	if why != "" {
		a.report.Refused = why
	}
	b.attempts[o.AttemptID] = a
	b.touch()
	if why == "" {
		b.begin <- a
	}
}

// slotFor gives the lowest free slot, or why there is none for this attempt.
func (b *Builder) slotFor(o plague.Order) (int, string) {
	switch {
	case o.Work == nil:
		return 0, "the orders do not say what to build"
	case b.suspended != "":
		return 0, b.suspended
	case !slices.Contains(b.Arches, o.Work.Machine()):
		return 0, "it does not build for " + o.Work.Machine()
	case !plague.TakesTarget(b.Targets, o.Work.Target):
		return 0, "it does not build for " + o.Work.Target
	}
	if b.Takes != nil {
		if err := b.Takes(o.Work); err != nil {
			return 0, err.Error()
		}
	}
	used := map[int]bool{}
	for id, a := range b.attempts {
		if id.ArchJob == o.ArchJob && id.Number == o.Number {
			return 0, "it still has an attempt of that number under another token" // in the same folder
		}
		if !a.ended() {
			used[a.record.Slot] = true
		}
	}
	for slot := range b.Slots {
		if !used[slot] {
			return slot, ""
		}
	}
	return 0, fmt.Sprintf("all %d slots are busy", b.Slots)
}

// full suspends the builder when its disk has no room, and gives the error on.
func (b *Builder) full(doing string, err error) error {
	err = fmt.Errorf("%w: builder %s could not %s: %w", plague.ErrUnavailable, b.Name, doing, err)
	if b.suspended == "" {
		b.suspended, b.cause = err.Error(), "journal"
		b.touch()
	}
	return err
}
