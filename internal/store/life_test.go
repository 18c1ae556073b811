package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// TestLife follows a job from submission to its resting place.
func TestLife(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		n := newJob("ethtool", "1.8")
		n.Priority = 3
		submitted := f.now
		uid := f.submit(n)
		j := f.wantJob(uid, plague.JobWaiting)
		if j.Run != 1 || j.User != n.User || j.Package != n.Package || j.Source != n.Source || j.SRPM != n.SRPM || j.SRPMSize != n.SRPMSize ||
			j.Target != n.Target || j.Priority != 3 || j.NVR() != "ethtool-1.8-1" || !j.QueuedAt.Equal(submitted) || !j.StateAt.Equal(submitted) || !j.BegunAt.IsZero() {
			t.Errorf("submitted: %+v", j)
		}
		f.later(time.Minute)
		begun := f.now
		as := f.build(uid, "x86_64", "aarch64")
		j = f.wantJob(uid, plague.JobBuilding)
		if !slices.Equal(j.Pin.Repos, pin.Repos) || !j.BegunAt.Equal(begun) {
			t.Errorf("building: %+v", j)
		}
		if len(as) != 2 || as[0].Arch != "x86_64" || as[1].Arch != "aarch64" || as[0].Kind != plague.KindBuild || as[0].State != plague.ArchQueued {
			t.Fatalf("arch jobs: %+v", as)
		}
		f.later(time.Minute)
		first := f.assign(as[0].ID, "b1")
		f.end(first, "b1", nil)
		d := f.claim("test")
		if d.AttemptID != first || d.Builder != "b1" || d.Arch != "x86_64" || d.Job.UID != uid || d.Failure != nil || len(d.Files) != 1 || d.Files[0].Size != 7 {
			t.Errorf("download: %+v", d)
		}
		f.must(f.Accept(f.ctx, f.now, d, "test", results(d, "x86_64", "ethtool")))
		f.wantJob(uid, plague.JobBuilding)
		a := f.wantArch(as[0].ID, plague.ArchDone)
		if a.Phase != plague.PhaseDone || !a.EndedAt.Equal(f.now) || !a.BegunAt.Equal(f.now) {
			t.Errorf("done: %+v", a)
		}
		f.end(f.assign(as[1].ID, "b2"), "b2", nil)
		f.accept()
		f.wantJob(uid, plague.JobAddToRepo)
		f.later(time.Minute)
		s := f.publish()
		j = f.wantJob(uid, plague.JobNeedSign)
		if j.Snapshot != s.Number || !j.EndedAt.Equal(f.now) {
			t.Errorf("published: %+v", j)
		}
		ts, err := f.Attempts(f.ctx, as[0].ID)
		f.must(err)
		if len(ts) != 1 || ts[0].AttemptID != first || ts[0].Outcome != "done" || ts[0].EndedAt.IsZero() {
			t.Errorf("attempts: %+v", ts)
		}
		files, err := f.Files(f.ctx, uid, 1)
		f.must(err)
		if len(files) != 4 || files[2].RPM != nil || files[3].RPM == nil || files[3].RPM.Name != "ethtool" || files[3].Arch != "x86_64" {
			t.Errorf("files: %+v", files)
		}
		f.wantStates(uid, "waiting initialize prep building finished addtorepo repodone needsign")
	})
}

// wantStates compares the states that a job's events tell of.
func (f *farm) wantStates(uid plague.JobID, want string) {
	f.t.Helper()
	es, err := f.JobEvents(f.ctx, uid)
	f.must(err)
	var states []string
	for _, e := range es {
		if e.What == "job" {
			states = append(states, e.To)
		}
	}
	if got := strings.Join(states, " "); got != want {
		f.t.Errorf("states of job %d: %s\nwant %s", uid, got, want)
	}
}

// TestScratch: a scratch job is never published; it rests at finished.
func TestScratch(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		n := newJob("ethtool", "1.8")
		n.Scratch = true
		uid, again := f.submit(n), f.submit(n)
		f.done(uid, "x86_64")
		if j := f.wantJob(uid, plague.JobFinished); j.EndedAt.IsZero() {
			t.Error("a finished scratch job has no end")
		}
		for _, a := range f.build(again, "x86_64") {
			f.end(f.assign(a.ID, "b1"), "b1", &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "no compiler"})
			f.accept()
		}
		f.wantJob(again, plague.JobFailed)
		f.refused(f.Kill(f.ctx, f.now, "dev@example.com", uid), plague.ErrConflict, "finished")
	})
}

// TestFailure: a job fails when its last arch job has ended, naming the arches
// that failed by the first line of each.
func TestFailure(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("ethtool", "1.8"))
		as := f.build(uid, "x86_64", "aarch64")
		f.end(f.assign(as[0].ID, "b1"), "b1", &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "no compiler\nmore"})
		f.accept()
		a := f.wantArch(as[0].ID, plague.ArchFailed)
		if a.FailureKind != plague.FailurePackage || a.FailurePhase != plague.PhaseBuilding || !strings.HasPrefix(a.Reason, "no compiler") {
			t.Errorf("failed: %+v", a)
		}
		f.wantJob(uid, plague.JobBuilding)
		f.end(f.assign(as[1].ID, "b1"), "b1", nil)
		d := f.claim("test")
		f.must(f.FailDownload(f.ctx, f.now, d, "test", plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseDone, Message: "another name"}, 5))
		if j := f.wantJob(uid, plague.JobFailed); j.Reason != "x86_64: no compiler\naarch64: another name" {
			t.Errorf("reason %q", j.Reason)
		}
		f.wantStates(uid, "waiting initialize prep building finished failed")
	})
}

// TestGuards: what is late, doubled or another's is a conflict, and nothing
// changes.
func TestGuards(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("ethtool", "1.8"))
		f.begin(uid)
		f.unchanged("FailJob from another state", func() error { return f.FailJob(f.ctx, f.term, f.now, uid, 1, plague.JobWaiting, "no") })
		f.unchanged("FailJob of another run", func() error { return f.FailJob(f.ctx, f.term, f.now, uid, 2, plague.JobPrep, "no") })
		build := func(run int) func() error {
			return func() error {
				return f.Build(f.ctx, f.term, f.now, uid, run, built("x86_64"), pin)
			}
		}
		f.unchanged("Build of another run", build(2))
		f.must(build(1)())
		f.unchanged("Build twice", build(1))
		id := f.archJobs(uid)[0].ID

		lost := f.assign(id, "b1")
		if done, err := f.Assign(f.ctx, f.term, f.now, []store.Assignment{{ArchJob: id, Builder: "b2", Token: "t"}}); err != nil || len(done) != 0 {
			t.Errorf("assigned twice: %v, %v", done, err)
		}
		final, err := f.Back(f.ctx, f.term, f.now, lost, "b1", plague.FailureLost, "lease", 5)
		f.must(err)
		if final {
			t.Error("the first loss was final")
		}
		f.reportsRefused("queued", lost, "b1")
		a := f.assign(id, "b1")
		f.reportsRefused("stale attempt", lost, "b1")
		f.reportsRefused("wrong token", plague.AttemptID{ArchJob: id, Number: a.Number, Token: "no"}, "b1")
		f.reportsRefused("wrong builder", a, "b2")
		f.end(a, "b1", nil)
		f.unchanged("Ended twice", func() error { return f.Ended(f.ctx, f.term, f.now, a, "b1", nil, nil, plague.Usage{}) })
		f.unchanged("Running after the end", func() error { return f.Running(f.ctx, f.term, f.now, a, "b1", plague.PhaseBuilding) })

		d := f.claim("test")
		f.unchanged("Accept by another", func() error { return f.Accept(f.ctx, f.now, d, "other", nil) })
		f.unchanged("FailDownload by another", func() error {
			return f.FailDownload(f.ctx, f.now, d, "other", plague.Failure{Kind: plague.FailurePackage}, 5)
		})
		f.unchanged("DownloadLater by another", func() error { return f.DownloadLater(f.ctx, d, "other", f.now, false, "x") })
		f.must(f.Accept(f.ctx, f.now, d, "test", results(d, "x86_64", "ethtool")))
		f.unchanged("Accept twice", func() error { return f.Accept(f.ctx, f.now, d, "test", nil) })
		f.unchanged("FailDownload after Accept", func() error {
			return f.FailDownload(f.ctx, f.now, d, "test", plague.Failure{Kind: plague.FailurePackage}, 5)
		})
		f.reportsRefused("done", a, "b1")

		s := f.publish()
		f.unchanged("Kill of a published job", func() error { return f.Kill(f.ctx, f.now, "dev@example.com", uid) })
		f.refused(f.Kill(f.ctx, f.now, "dev@example.com", uid), plague.ErrConflict, "plague repo retire")
		f.unchanged("Requeue of a published job", func() error { return f.Requeue(f.ctx, f.now, "dev@example.com", uid) })
		f.unchanged("Publish again", func() error { return f.Publish(f.ctx, f.term, f.now, s, nil) })
		f.unchanged("Publish of a published job", func() error {
			return f.Publish(f.ctx, f.term, f.now, f.next(), []store.Publication{{Job: f.job(uid)}})
		})
		for _, err := range []error{f.Kill(f.ctx, f.now, "x", 99), f.Requeue(f.ctx, f.now, "x", 99)} {
			f.refused(err, plague.ErrNotFound)
		}
	})
}

// reportsRefused tries every report on an attempt that is not held so.
func (f *farm) reportsRefused(what string, a plague.AttemptID, builder string) {
	f.t.Helper()
	f.unchanged(what+": Running", func() error { return f.Running(f.ctx, f.term, f.now, a, builder, plague.PhaseBuilding) })
	f.unchanged(what+": Ended", func() error { return f.Ended(f.ctx, f.term, f.now, a, builder, nil, nil, plague.Usage{}) })
	for _, kind := range []plague.FailureKind{plague.FailureLost, plague.FailureInfrastructure, store.Refused} {
		f.unchanged(what+": Back "+string(kind), func() error {
			_, err := f.Back(f.ctx, f.term, f.now, a, builder, kind, "late", 5)
			return err
		})
	}
}

// TestKill: a kill takes all arch jobs with it, whatever state each is in, and
// late reports change nothing.
func TestKill(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("ethtool", "1.8"))
		as := f.build(uid, "a1", "a2", "a3", "a4", "a5")
		assigned, running, downloading := f.assign(as[1].ID, "b1"), f.assign(as[2].ID, "b1"), f.assign(as[3].ID, "b1")
		f.must(f.Running(f.ctx, f.term, f.now, running, "b1", plague.PhasePrepping))
		f.end(f.assign(as[4].ID, "b1"), "b1", nil)
		f.accept()
		f.end(downloading, "b1", nil)
		d := f.claim("test")
		f.must(f.Kill(f.ctx, f.now, "admin@example.com", uid))
		if j := f.wantJob(uid, plague.JobKilled); !strings.Contains(j.Reason, "admin@example.com") || j.EndedAt.IsZero() {
			t.Errorf("killed: %+v", j)
		}
		for i, want := range []plague.ArchState{plague.ArchKilled, plague.ArchKilled, plague.ArchKilled, plague.ArchKilled, plague.ArchDone} {
			f.wantArch(as[i].ID, want)
		}
		f.reportsRefused("killed", assigned, "b1")
		f.reportsRefused("killed", running, "b1")
		f.unchanged("Accept after the kill", func() error { return f.Accept(f.ctx, f.now, d, "test", nil) })
		f.unchanged("Kill twice", func() error { return f.Kill(f.ctx, f.now, "x", uid) })
		if held, err := f.Held(f.ctx, ""); err != nil || len(held) != 0 {
			t.Errorf("still held: %+v, %v", held, err)
		}
		ts, err := f.Attempts(f.ctx, as[2].ID)
		f.must(err)
		if len(ts) != 1 || ts[0].Outcome != "killed" {
			t.Errorf("attempts: %+v", ts)
		}
	})
}

// TestRequeue: another run of the same uid; what was is kept, nothing of it
// counts.
func TestRequeue(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("ethtool", "1.8"))
		f.unchanged("Requeue of a waiting job", func() error { return f.Requeue(f.ctx, f.now, "x", uid) })
		old := f.build(uid, "x86_64")[0]
		late := f.assign(old.ID, "b1")
		f.must(f.Kill(f.ctx, f.now, "dev@example.com", uid))
		twin := f.submit(newJob("ethtool", "1.8"))
		f.refused(f.Requeue(f.ctx, f.now, "dev@example.com", uid), plague.ErrConflict, "ethtool-1.8-1", "job 2")
		f.must(f.Kill(f.ctx, f.now, "dev@example.com", twin))
		f.must(f.Requeue(f.ctx, f.later(time.Hour), "dev@example.com", uid))
		j := f.wantJob(uid, plague.JobWaiting)
		if j.Run != 2 || j.Reason != "" || !j.BegunAt.IsZero() || !j.EndedAt.IsZero() || !j.QueuedAt.Equal(f.now) || len(j.Pin.Repos) != 0 {
			t.Errorf("requeued: %+v", j)
		}
		f.done(uid, "x86_64")
		f.reportsRefused("run before", late, "b1")
		f.publish()
		f.wantJob(uid, plague.JobNeedSign)
		if before, err := f.ArchJobs(f.ctx, uid, 1); err != nil || len(before) != 1 || before[0].State != plague.ArchKilled {
			t.Errorf("first run: %+v, %v", before, err)
		}
		of, err := f.ArchJobsOf(f.ctx, []plague.JobID{uid, twin})
		f.must(err)
		if len(of[uid]) != 1 || of[uid][0].Run != 2 || len(of[twin]) != 0 {
			t.Errorf("of the current runs: %+v", of)
		}
	})
}
