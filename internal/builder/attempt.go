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
)

// Outcome is how an attempt ended, as its supervisor leaves it behind.
type Outcome struct {
	Failure *plague.Failure // nil: it ended well
	Killed  bool
	Pinned  *plague.Pinned // what was fetched from the SCM; nil: nothing
	Files   []plague.Artifact
	Used    plague.Usage
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

// end puts an outcome into the report.
func (a *attempt) end(o Outcome) {
	r := &a.report
	r.Artifacts, r.EndedAt, r.Failure, r.Pinned = o.Files, o.EndedAt, o.Failure, o.Pinned
	if o.Used != (plague.Usage{}) {
		r.Used = &o.Used
	}
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
	b.mu.Lock()
	o = b.handedBack(o)
	b.mu.Unlock()
	// Kept even if the supervisor wrote it: a daemon that comes back must
	// find the attempt ended, whoever ended it.
	if err := b.writeOutcome(dir, o); err != nil {
		log.Warn("outcome not kept", "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.end(o)
	a.tell()
	if o.Failure != nil && o.Failure.Kind == plague.FailureInfrastructure {
		select {
		case b.doubt <- struct{}{}:
		default:
		}
	}
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
