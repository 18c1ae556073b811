package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// TestBudgets: trouble that is not the package's costs a budget of its kind in
// this run; a refusal costs none.
func TestBudgets(t *testing.T) {
	for _, kind := range []plague.FailureKind{plague.FailureLost, plague.FailureInfrastructure} {
		t.Run(string(kind), func(t *testing.T) {
			both(t, func(t *testing.T, f *farm) {
				uid := f.submit(newJob("ethtool", "1.8"))
				id := f.build(uid, "x86_64")[0].ID
				for range 7 {
					f.back(id, store.Refused, "no slot", 3, false)
				}
				other := plague.FailureLost
				if kind == other {
					other = plague.FailureInfrastructure
				}
				f.back(id, other, "the other kind", 3, false)
				f.back(id, kind, "one", 3, false)
				f.back(id, kind, "two", 3, false)
				a := f.wantArch(id, plague.ArchQueued)
				if a.Reason != "two" || a.Builder != "" || a.Lost+a.Infra != 3 {
					t.Errorf("queued again: %+v", a)
				}
				f.back(id, kind, "three", 3, true)
				a = f.wantArch(id, plague.ArchFailed)
				if a.FailureKind != kind || !strings.Contains(a.Reason, "11 attempts") || !strings.Contains(a.Reason, "one; two; three") {
					t.Errorf("failed: %+v", a)
				}
				j := f.wantJob(uid, plague.JobFailed)
				if !strings.HasPrefix(j.Reason, "x86_64: given up") {
					t.Errorf("reason %q", j.Reason)
				}
				f.must(f.Requeue(f.ctx, f.now, "x", uid))
				f.back(f.build(uid, "x86_64")[0].ID, kind, "a new run", 3, false)
			})
		})
	}
}

// back lets one more attempt of an arch job end without a result.
func (f *farm) back(id plague.ArchJobID, kind plague.FailureKind, reason string, budget int, want bool) {
	f.t.Helper()
	a := f.assign(id, "b1")
	f.must(f.Running(f.ctx, f.term, f.now, a, "b1", plague.PhasePrepping))
	final, err := f.Back(f.ctx, f.term, f.now, a, "b1", kind, reason, budget)
	f.must(err)
	if final != want {
		f.t.Fatalf("%s %q: final %v, want %v", kind, reason, final, want)
	}
}

// TestDownloadTrouble: a result that cannot be had is built again, within the
// run's budget for infrastructure.
func TestDownloadTrouble(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		const budget = 3
		uid := f.submit(newJob("ethtool", "1.8"))
		id := f.build(uid, "x86_64")[0].ID
		for i := 1; ; i++ {
			f.end(f.assign(id, "b1"), "b1", nil)
			d := f.claim("test")
			f.must(f.FailDownload(f.ctx, f.now, d, "test", plague.Failure{Kind: plague.FailureInfrastructure, Message: fmt.Sprint("gone ", i)}, budget))
			if f.archJob(id).State == plague.ArchFailed {
				if i != budget {
					t.Errorf("given up after %d", i)
				}
				break
			}
		}
		f.wantJob(uid, plague.JobFailed)
	})
}

// TestPhase: a phase is shown; to hear it again writes nothing.
func TestPhase(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("ethtool", "1.8"))
		a := f.assign(f.build(uid, "x86_64")[0].ID, "b1")
		f.must(f.Running(f.ctx, f.term, f.now, a, "b1", plague.PhasePrepping))
		last, err := f.LastEvent(f.ctx)
		f.must(err)
		f.must(f.Running(f.ctx, f.term, f.later(time.Second), a, "b1", plague.PhaseBuilding))
		if got := f.wantArch(a.ArchJob, plague.ArchRunning); got.Phase != plague.PhaseBuilding {
			t.Errorf("phase %q", got.Phase)
		}
		f.must(f.Running(f.ctx, f.term, f.later(time.Second), a, "b1", plague.PhaseBuilding))
		if es, err := f.Events(f.ctx, last, 10); err != nil || len(es) != 0 {
			t.Errorf("events of a phase: %v, %v", es, err)
		}
	})
}

// TestChains: a job that waits for another starts when that one is published,
// and is doomed when it never will be.
func TestChains(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		first := f.submit(newJob("oniguruma", "1"))
		n := newJob("jq", "1")
		n.After, n.Priority = first, 5
		second := f.submit(n)
		other := f.submit(newJob("tree", "1"))
		f.wantReady(first, other)
		f.wantDoomed()
		f.done(first, "x86_64")
		f.wantReady(other)
		f.publish()
		f.wantReady(second, other) // by priority, then uid
		f.must(f.SetPaused(f.ctx, f.now, "admin@example.com", true))
		f.wantReady()
		f.must(f.SetPaused(f.ctx, f.now, "admin@example.com", false))

		n = newJob("bc", "1")
		n.After = other
		doomed := f.submit(n)
		f.begin(other)
		f.must(f.FailJob(f.ctx, f.term, f.now, other, 1, plague.JobPrep, "no arches"))
		f.wantDoomed(doomed)
		f.wantReady(second)
		f.must(f.FailJob(f.ctx, f.term, f.now, doomed, 1, plague.JobWaiting, "job 3 failed"))
		f.wantDoomed()

		n = newJob("dc", "1")
		n.After = other
		f.refuseSubmit(n, plague.ErrConflict, "job 3", "failed")
		n.After = 99
		f.refuseSubmit(n, plague.ErrNotFound, "99")
		s := newJob("ed", "1")
		s.Scratch = true
		n.After = f.submit(s)
		f.refuseSubmit(n, plague.ErrInvalid, "scratch")
	})
}

func (f *farm) refuseSubmit(n store.NewJob, kind error, words ...string) {
	f.t.Helper()
	f.must(f.AddUpload(f.ctx, f.now, n.User, n.SRPM, n.SRPMSize))
	before := f.dump()
	_, err := f.Submit(f.ctx, f.now, n)
	f.refused(err, kind, words...)
	if after := f.dump(); after != before {
		f.t.Errorf("a refused job changed the database:\n%s\n%s", before, after)
	}
}

// TestReadyIsFair: who waits with many holds up nobody who waits with one, and a
// background job its own user's others.
func TestReadyIsFair(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		ready := func(limit int) []plague.JobID {
			js, err := f.Ready(f.ctx, limit)
			f.must(err)
			return uids(js)
		}
		for i := range 30 {
			n := newJob(fmt.Sprint("mass", i), "1")
			n.Priority = -10
			f.submit(n)
		}
		one := f.submit(newJob("one", "1"))
		other := newJob("other", "1")
		other.User = "other@example.com"
		others := f.submit(other)
		if got, want := ready(4), []plague.JobID{one, others, 1}; !slices.Equal(got, want) {
			t.Errorf("the first are %v, want %v", got, want)
		}
		f.begin(one)
		f.begin(others)
		if got := ready(4); !slices.Equal(got, []plague.JobID{1, 2, 3, 4}) {
			t.Errorf("who waits alone gets %v", got)
		}
	})
}

func (f *farm) wantReady(want ...plague.JobID) {
	f.t.Helper()
	js, err := f.Ready(f.ctx, 100)
	f.must(err)
	if got := uids(js); !slices.Equal(got, want) {
		f.t.Errorf("ready %v, want %v", got, want)
	}
}

func (f *farm) wantDoomed(want ...plague.JobID) {
	f.t.Helper()
	js, err := f.Doomed(f.ctx, 100)
	f.must(err)
	if got := uids(js); !slices.Equal(got, want) {
		f.t.Errorf("doomed %v, want %v", got, want)
	}
}

func uids(js []plague.Job) []plague.JobID {
	var all []plague.JobID
	for _, j := range js {
		all = append(all, j.UID)
	}
	return all
}

// TestVersions: one version of a package in a target, in progress or
// published; scratch jobs, other targets and what has failed stand beside it.
func TestVersions(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		n := newJob("ethtool", "1.8")
		f.submit(n)
		f.refuseSubmit(n, plague.ErrConflict, "ethtool-1.8-1", "job 1", "raise the release")
		for _, change := range []func(*store.NewJob){
			func(n *store.NewJob) { n.Scratch = true },
			func(n *store.NewJob) { n.Target = "lab-13-extras" },
			func(n *store.NewJob) { n.Release = "2" },
			func(n *store.NewJob) { n.Epoch = "1" },
		} {
			m := n
			change(&m)
			f.submit(m)
		}
		f.done(1, "x86_64")
		f.publish()
		f.refuseSubmit(n, plague.ErrConflict, "needsign")
	})
}
