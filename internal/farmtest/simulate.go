package farmtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/store"
	"plague/internal/wire"
)

// Simulate plays the schedule of the world's seed over a copy of a migrated
// database, ends everything, and gives the invariants that did not hold.
func (w *World) Simulate(database []byte) []string {
	defer w.Close()
	if err := w.play(database); err != nil {
		w.broken("6: %v", err)
	}
	if len(w.Problems()) == 0 {
		w.audit()
	}
	return w.Problems()
}

func (w *World) play(database []byte) error {
	s := &script{w: w, dice: rand.New(rand.NewPCG(w.seed, 0))}
	s.populate()
	if err := w.found(database); err != nil {
		return err
	}
	w.revive(0, w.main.Start)
	for _, m := range w.machines {
		w.revive(0, m.Start)
	}
	for range s.length() {
		w.sleep(s.while(40 * time.Second))
		s.act()
	}
	w.sleep(s.while(2 * time.Minute))
	if s.dice.IntN(3) == 0 { // by now something is published
		s.retire()
		w.main.Crash(s.dice.IntN(80), s.while(time.Minute))
		w.sleep(s.while(time.Minute))
	}
	if err := w.settle(s.asked); err != nil || len(w.Problems()) > 0 {
		return err
	}
	return w.epilogue()
}

// restWithin is how long the farm may take to come to rest when nobody
// disturbs it: longer than all attempts that a budget allows.
const restWithin = 12 * time.Hour

// settle ends the faults and waits until nothing is left to do.
func (w *World) settle(asked bool) error {
	w.trace.Add("script", "the faults are over")
	close(w.settling)
	w.net.Calm()
	w.doings.Wait()
	if asked { // what somebody asked for may come late, too, and be meant for another job
		if err := pause(w.ctx, latest); err != nil {
			return err
		}
	}
	root := w.Person("root@farm")
	if _, err := root.SetPaused(w.ctx, false); err != nil {
		return fmt.Errorf("end the pause: %w", err)
	}
	w.mu.Lock()
	clear(w.absent)
	w.mu.Unlock()
	if _, err := root.UpdateBuilders(w.ctx); err != nil {
		return fmt.Errorf("have all builders back: %w", err)
	}
	for _, m := range w.machines {
		if _, err := root.ResumeBuilder(w.ctx, m.name); err != nil && !refused(err) {
			return fmt.Errorf("resume %s: %w", m.name, err)
		}
	}
	return w.rest()
}

// rest waits until nothing is left to do.
func (w *World) rest() error {
	db, err := store.Open(w.ctx, w.database(), store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	began := time.Now()
	for {
		busy, err := w.busy(db)
		if err != nil || len(busy) == 0 {
			w.trace.Add("script", "at rest after %s", time.Since(began))
			return err
		}
		if time.Since(began) > restWithin {
			w.broken("1: nothing disturbs the farm for %s, and not at rest are %v", restWithin, busy)
			return nil
		}
		time.Sleep(10 * time.Second)
	}
}

// epilogue builds some more, without trouble: whatever happened before, every
// attempt now is the only one.
func (w *World) epilogue() error {
	uids := make([]plague.JobID, 2)
	for i := range uids {
		src := rpm.Blank{NEVRA: rpm.NEVRA{Name: fmt.Sprint("calm", i), EVR: rpm.EVR{Version: "1", Release: "1"}}}
		w.mu.Lock()
		w.recipes[src.NVR()] = Recipe{Prepping: time.Second, Building: time.Duration(i) * 20 * time.Second}
		w.mu.Unlock()
		in := wire.Submission{Package: src.Name, Source: src.NVR() + ".src.rpm", Target: "devel"}
		var err error
		if uids[i], err = w.Person("ann@farm").Build(w.ctx, in, src.Bytes()); err != nil {
			return err
		}
	}
	if err := w.rest(); err != nil {
		return err
	}
	db, err := store.Open(w.ctx, w.database(), store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	archJobs, err := db.ArchJobsOf(w.ctx, uids)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if len(archJobs[uid]) == 0 {
			w.broken("6: without trouble job %d did not build", uid)
		}
		for _, a := range archJobs[uid] {
			if a.State != plague.ArchDone || a.Attempt != 1 {
				w.broken("6: without trouble arch job %d of job %d is %s after %d attempts: %s", a.ID, uid, a.State, a.Attempt, a.Reason)
			}
		}
	}
	if _, err := w.Person("root@farm").Retire(w.ctx, wire.Retirement{Uid: uids[0], Why: "all was well"}); err != nil {
		w.broken("6: without trouble job %d is not retired: %v", uids[0], err)
	}
	return w.rest()
}

// busy lists what the farm has still to do: jobs that do not rest, and attempts
// that builders have not been told to forget.
func (w *World) busy(db *store.DB) ([]string, error) {
	jobs, err := everyJob(w.ctx, db)
	if err != nil {
		return nil, err
	}
	var busy []string
	for _, j := range jobs {
		if !j.Resting() {
			busy = append(busy, fmt.Sprintf("job %d (%s)", j.UID, j.State))
		}
	}
	if paused, who, err := db.Paused(w.ctx); err != nil || paused {
		return append(busy, fmt.Sprintf("the farm is paused by %s", who)), err
	}
	for i := range w.targets {
		more, err := w.changing(db, &w.targets[i])
		if err != nil {
			return nil, err
		}
		busy = append(busy, more...)
	}
	for _, m := range w.machines {
		busy = append(busy, m.kept()...)
	}
	if len(busy) > 0 {
		return busy, nil
	}
	return w.unsent(db)
}

// changing lists what is still to happen to a target's repositories: a snapshot is
// committed before its address shows it.
func (w *World) changing(db *store.DB, t *plague.Target) ([]string, error) {
	uids, err := db.ToRetire(w.ctx, t.String())
	if err != nil {
		return nil, err
	}
	var busy []string
	for _, uid := range uids {
		busy = append(busy, fmt.Sprintf("job %d (to be retired)", uid))
	}
	current, err := db.Current(w.ctx, t.String(), plague.LineBuild)
	if err != nil {
		return nil, err
	}
	ran, err := db.Script(w.ctx, t.String())
	if err != nil {
		return nil, err
	}
	if copied := w.copied(t.String()); copied < ran.Snapshot {
		w.broken("3: the script of %s is said to have run for snapshot %d, and has for %d", t, ran.Snapshot, copied)
	}
	if t.RepoScript != "" && ran.Snapshot != current {
		busy = append(busy, fmt.Sprintf("script of %s has run for %d of %d", t, ran.Snapshot, current))
	}
	for _, arch := range t.BaseArches {
		if shown := w.reader.Shown(t, arch); shown != current {
			busy = append(busy, fmt.Sprintf("%s for %s shows %d of %d", t, arch, shown, current))
		}
	}
	return busy, nil
}

func everyJob(ctx context.Context, db *store.DB) ([]plague.Job, error) {
	var all []plague.Job
	for {
		f := store.Filter{Oldest: true, Limit: 1000}
		if n := len(all); n > 0 {
			f.After = all[n-1].UID
		}
		jobs, err := db.Jobs(ctx, f)
		all = append(all, jobs...)
		if err != nil || len(jobs) < f.Limit {
			return all, err
		}
	}
}
