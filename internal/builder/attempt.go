package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/wire"
)

// record is what the journal keeps of an attempt: written and fsynced before
// it begins, never changed.
type record struct {
	ID         plague.AttemptID
	Work       plague.Work
	Slot       int
	AcceptedAt time.Time
}

// Outcome is how an attempt ended, as its supervisor leaves it behind.
type Outcome struct {
	Failure *plague.Failure // nil: it ended well
	Killed  bool
	Pinned  *plague.Pinned // what was fetched from the SCM; nil: nothing
	Files   []plague.Artifact
	EndedAt time.Time
}

// attempt is one attempt on this builder. b.mu guards report and named.
type attempt struct {
	record   record // immutable once it is in the map
	report   plague.AttemptReport
	named    time.Time // when orders named it last, or this daemon found it
	once     sync.Once
	stopping chan struct{} // closed when it is to be stopped
	grown    chan struct{} // closed and replaced when a log has grown; guarded by b.mu
}

func newAttempt(r plague.AttemptReport) *attempt {
	return &attempt{report: r, named: time.Now(), stopping: make(chan struct{}), grown: make(chan struct{})}
}

// tell wakes those who follow the attempt's logs. b.mu is held.
func (a *attempt) tell() {
	close(a.grown)
	a.grown = make(chan struct{})
}

func (a *attempt) stop()       { a.once.Do(func() { close(a.stopping) }) }
func (a *attempt) ended() bool { return a.report.Phase.Ended() || a.report.Refused != "" }

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

// end puts an outcome into the report.
func (a *attempt) end(o Outcome) {
	r := &a.report
	r.Artifacts, r.EndedAt, r.Failure, r.Pinned = o.Files, o.EndedAt, o.Failure, o.Pinned
	switch {
	case o.Killed:
		r.Phase = plague.PhaseKilled
	case o.Failure != nil:
		r.Phase = plague.PhaseFailed
	default:
		r.Phase = plague.PhaseDone
	}
}

// work takes an attempt from its record to its outcome. One that an earlier
// daemon began is watched, not begun again.
func (b *Builder) work(ctx context.Context, a *attempt) {
	dir := dirName(a.record.ID)
	log := b.Log.With("job", a.record.Work.Job, "arch_job", a.record.ID.ArchJob, "attempt", a.record.ID.Number)
	o, err := b.run(ctx, a, dir)
	if ctx.Err() != nil {
		return // the daemon ends; the supervisor goes on
	}
	if err != nil {
		o = Outcome{Failure: &plague.Failure{Kind: plague.FailureInfrastructure, Phase: a.report.Phase, Message: "builder " + b.Name + ": " + err.Error()}, EndedAt: time.Now()}
		if errors.Is(err, errLost) {
			o.Failure.Kind = plague.FailureLost
		}
	}
	// Kept even if the supervisor wrote it: a daemon that comes back must
	// find the attempt ended, whoever ended it.
	if err := b.writeOutcome(dir, o); err != nil {
		log.Warn("outcome not kept", "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.end(o)
	a.tell()
	log.Info("attempt ended", "phase", a.report.Phase, "failure", a.report.Failure)
	b.touch()
}

// errLost is an attempt whose supervisor went away without an outcome: the
// machine was restarted, or somebody killed it.
var errLost = errors.New("its supervisor is gone and left no outcome")

func (b *Builder) writeOutcome(dir string, o Outcome) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return b.Work.WriteFile(path.Join(dir, outcomeFile), data, 0o644)
}

// run fetches the SRPM and begins the supervisor unless that was done before,
// then watches until there is an outcome.
func (b *Builder) run(ctx context.Context, a *attempt, dir string) (Outcome, error) {
	missing := errLost // why there may be no outcome
	if a.report.Phase == plague.PhaseDownloading {
		if a.record.Work.Kind != plague.KindSRPM { // of which the supervisor fetches what it needs
			if stopped, err := b.fetch(ctx, a, dir); err != nil || stopped {
				return Outcome{Killed: stopped, EndedAt: time.Now()}, err
			}
			b.take(a, News{Phase: plague.PhaseDownloaded})
		}
		if err := b.Launcher.Start(ctx, b.Work.Path(dir)); err != nil {
			// Perhaps only the answer was lost: the watch tells, and sees to
			// it that none begins later.
			missing = fmt.Errorf("supervisor: %w", err)
		}
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-watch.Done():
		case <-a.stopping:
			b.halt(watch, dir)
		}
	}()
	err := b.Launcher.Watch(ctx, b.Work.Path(dir), func(n News) {
		b.take(a, n)
	})
	cancel()
	<-stopped
	if err != nil {
		return Outcome{}, err
	}
	var o Outcome
	if err := b.readJSON(path.Join(dir, outcomeFile), &o); errors.Is(err, fs.ErrNotExist) {
		select {
		case <-a.stopping:
			return Outcome{Killed: true, EndedAt: time.Now()}, nil
		default:
			return Outcome{}, missing
		}
	} else if err != nil {
		return Outcome{}, err
	}
	return o, nil
}

// haltTick is how soon a supervisor that does not end is stopped again.
const haltTick = time.Second

// halt stops a supervisor until the watch on it ends.
func (b *Builder) halt(ctx context.Context, dir string) {
	for ctx.Err() == nil {
		if err := b.Launcher.Stop(ctx, b.Work.Path(dir)); err != nil && ctx.Err() == nil {
			b.Log.Warn("supervisor not stopped, will try again", "dir", dir, "error", err)
		}
		t := time.NewTimer(haltTick)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// take takes in what a supervisor tells. How it ended is for its outcome to say.
func (b *Builder) take(a *attempt, n News) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.Log {
		a.tell()
	}
	if n.Phase != "" && !n.Phase.Ended() && n.Phase != a.report.Phase {
		a.report.Phase = n.Phase
		b.touch()
	}
}

const (
	fetchTries = 5 // as the original had
	fetchIdle  = 30 * time.Second
)

// fetch brings the SRPM into the attempt's folder; stopped says that it was
// told to stop meanwhile.
func (b *Builder) fetch(ctx context.Context, a *attempt, dir string) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-a.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	srpm := a.record.Work.SRPM
	for try := range fetchTries {
		err = wire.Fetch(ctx, b.Server, b.ServerURL+wire.SRPMPath(srpm.Digest), b.SRPMs, srpm, fetchIdle)
		if err == nil {
			err = b.place(srpm.Digest, path.Join(dir, srpmFile))
		}
		if err == nil {
			return false, nil
		}
		t := time.NewTimer(time.Second << try)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		select {
		case <-a.stopping:
			return true, nil
		default:
		}
	}
	return false, fmt.Errorf("SRPM not fetched in %d tries: %w", fetchTries, err)
}

// place gives the SRPM its name in the attempt's folder. It leaves the store
// then: another attempt of the same job goes to another builder as a rule.
func (b *Builder) place(digest, name string) error {
	d, err := artifact.ParseDigest(digest)
	if err != nil {
		return err
	}
	if err := b.Work.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.Work.Adopt(b.SRPMs.Path(d), name); err != nil {
		return err
	}
	return b.SRPMs.Remove(d)
}
