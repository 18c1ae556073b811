package store_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plague"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// model is what a job should be after the acts so far, said in a few lines:
// one arch job for each job, and no details.
type model struct {
	state   plague.JobState
	arch    plague.ArchState
	id      plague.ArchJobID
	attempt int
	token   string
	lost    int
	run     int
}

// TestModel does random acts in random order, most of them at the wrong time,
// and compares each answer and each state with the model's.
func TestModel(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			jobs := map[plague.JobID]*model{}
			var all []plague.JobID
			for range rapid.IntRange(1, 40).Draw(rt, "acts") {
				if len(all) == 0 || len(all) < 4 && rapid.Bool().Draw(rt, "another job") {
					uid := f.submit(newJob(fmt.Sprintf("p%d-%d", round, len(all)), "1"))
					jobs[uid], all = &model{state: plague.JobWaiting, run: 1}, append(all, uid)
					continue
				}
				uid := rapid.SampledFrom(all).Draw(rt, "job")
				act := rapid.SampledFrom(modelActs()).Draw(rt, "act")
				want := act.does(jobs[uid])
				legal := want != nil
				err := act.act(f, uid, jobs[uid])
				if legal != (err == nil) || err != nil && !errors.Is(err, plague.ErrConflict) && !errors.Is(err, plague.ErrNotFound) {
					rt.Fatalf("%s of a job in %s/%s: %v, legal is %v", act.name, jobs[uid].state, jobs[uid].arch, err, legal)
				}
				if legal {
					want(jobs[uid])
				}
				f.compare(rt, uid, jobs[uid])
			}
			for _, uid := range all { // the next round begins with nothing to do
				if m := jobs[uid]; !slices.Contains([]plague.JobState{plague.JobKilled, plague.JobFailed, plague.JobNeedSign}, m.state) {
					f.must(f.Kill(f.ctx, f.now, "x", uid))
				}
			}
		})
	})
}

func (f *farm) compare(rt *rapid.T, uid plague.JobID, m *model) {
	j := f.job(uid)
	if j.State != m.state || j.Run != m.run {
		rt.Fatalf("job %d is %s in run %d (%s), the model's %s in run %d", uid, j.State, j.Run, j.Reason, m.state, m.run)
	}
	if m.id == 0 {
		return
	}
	if a := f.archJob(m.id); a.State != m.arch || a.Attempt != m.attempt || a.Lost != m.lost {
		rt.Fatalf("arch job %+v, the model's %+v", a, m)
	}
}

// modelAct is an act of the farm: does gives what it does to the model, nil
// when it has to be refused.
type modelAct struct {
	name string
	does func(m *model) func(m *model)
	act  func(f *farm, uid plague.JobID, m *model) error
}

const modelBudget = 2

func modelActs() []modelAct {
	when := func(legal bool, then func(m *model)) func(m *model) {
		if legal {
			return then
		}
		return nil
	}
	attempt := func(m *model) plague.AttemptID {
		return plague.AttemptID{ArchJob: m.id, Number: m.attempt, Token: m.token}
	}
	return []modelAct{
		{"Begin", func(m *model) func(*model) {
			return when(m.state == plague.JobWaiting, func(m *model) { m.state = plague.JobPrep })
		}, func(f *farm, uid plague.JobID, m *model) error {
			begun, err := f.Begin(f.ctx, f.term, f.now, []plague.JobID{uid})
			if err == nil && len(begun) == 0 {
				return plague.ErrConflict
			}
			return err
		}},
		{"Build", func(m *model) func(*model) {
			return when(m.state == plague.JobPrep, func(m *model) { m.state, m.arch = plague.JobBuilding, plague.ArchQueued })
		}, func(f *farm, uid plague.JobID, m *model) error {
			err := f.Build(f.ctx, f.term, f.now, uid, m.run, built("x86_64"), pin)
			if err == nil {
				*m = model{state: m.state, run: m.run, id: f.archJobs(uid)[0].ID}
			}
			return err
		}},
		{"Assign", func(m *model) func(*model) {
			return when(m.arch == plague.ArchQueued, func(m *model) { m.arch, m.attempt = plague.ArchAssigned, m.attempt+1 })
		}, func(f *farm, uid plague.JobID, m *model) error {
			token := rand.Text()
			done, err := f.Assign(f.ctx, f.term, f.now, []store.Assignment{{ArchJob: m.id, Builder: "b1", Token: token}})
			if err == nil && len(done) == 0 {
				return plague.ErrConflict
			}
			m.token = token
			return err
		}},
		{"Running", func(m *model) func(*model) {
			return when(m.arch == plague.ArchAssigned || m.arch == plague.ArchRunning, func(m *model) { m.arch = plague.ArchRunning })
		}, func(f *farm, uid plague.JobID, m *model) error {
			return f.Running(f.ctx, f.term, f.now, attempt(m), "b1", plague.PhaseBuilding)
		}},
		{"Ended", func(m *model) func(*model) {
			return when(m.arch == plague.ArchAssigned || m.arch == plague.ArchRunning, func(m *model) { m.arch = plague.ArchDownloading })
		}, func(f *farm, uid plague.JobID, m *model) error {
			return f.Ended(f.ctx, f.term, f.now, attempt(m), "b1", nil, nil, plague.Usage{})
		}},
		{"Lost", func(m *model) func(*model) {
			return when(m.arch.Held(), func(m *model) {
				if m.lost++; m.lost < modelBudget {
					m.arch = plague.ArchQueued
				} else {
					m.arch, m.state = plague.ArchFailed, plague.JobFailed
				}
			})
		}, func(f *farm, uid plague.JobID, m *model) error {
			_, err := f.Back(f.ctx, f.term, f.now, attempt(m), "b1", plague.FailureLost, "lost", modelBudget)
			return err
		}},
		{"Accept", func(m *model) func(*model) {
			return when(m.arch == plague.ArchDownloading, func(m *model) { m.arch, m.state = plague.ArchDone, plague.JobAddToRepo })
		}, func(f *farm, uid plague.JobID, m *model) error {
			d := &store.Download{AttemptID: attempt(m), Builder: "b1", Arch: "x86_64", Job: f.job(uid)}
			for { // claims come in the order of the queue: those of other jobs are given back
				other, err := storetest.Only(f.ClaimDownloads(f.ctx, f.now, "test", time.Minute, 1, 100))
				if err != nil {
					return err
				}
				if other == nil || other.ArchJob == m.id {
					break
				}
				defer func() { f.must(f.DownloadLater(f.ctx, other, "test", f.now, false, "not now")) }()
			}
			return f.Accept(f.ctx, f.now, d, "test", results(d, "x86_64", d.Job.Package))
		}},
		{"Publish", func(m *model) func(*model) {
			return when(m.state == plague.JobAddToRepo, func(m *model) { m.state = plague.JobNeedSign })
		}, func(f *farm, uid plague.JobID, m *model) error {
			return f.Publish(f.ctx, f.term, f.now, f.next(), []store.Publication{{Job: f.job(uid)}})
		}},
		{"Kill", func(m *model) func(*model) {
			return when(!m.state.Published() && !m.state.Requeueable(), func(m *model) {
				if m.state = plague.JobKilled; m.id != 0 && !m.arch.Final() {
					m.arch = plague.ArchKilled
				}
			})
		}, func(f *farm, uid plague.JobID, m *model) error { return f.Kill(f.ctx, f.now, "x", uid) }},
		{"Requeue", func(m *model) func(*model) {
			return when(m.state.Requeueable(), func(m *model) { *m = model{state: plague.JobWaiting, run: m.run + 1} })
		}, func(f *farm, uid plague.JobID, m *model) error { return f.Requeue(f.ctx, f.now, "x", uid) }},
	}
}
