package store_test

import (
	"reflect"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// TestLearn: what a build that ended well took and used is known to the next one of its
// package and arch, and to no other.
func TestLearn(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		run := func(pkg, version string, took time.Duration, failure *plague.Failure, used plague.Usage) {
			t.Helper()
			a := f.assign(f.build(f.submit(newJob(pkg, version)), "x86_64")[0].ID, "b1")
			f.later(took)
			f.must(f.Ended(f.ctx, f.term, f.now, a, "b1", failure, nil, used))
			f.later(time.Hour) // in which its files are fetched
			d := f.claim("test")
			f.must(f.Accept(f.ctx, f.now, d, "test", nil))
			past, err := f.PastOf(f.ctx, "b1", time.Time{}, 1)
			f.must(err)
			if len(past) != 1 || past[0].Used != used {
				t.Errorf("of the attempt there is %+v, want %+v", past, used)
			}
		}
		run("kernel", "1", time.Hour, nil, plague.Usage{Memory: 8 << 30, Disk: 40 << 30, Meter: plague.MeterGroup})
		run("kernel", "2", 2*time.Hour, nil, plague.Usage{Memory: 4 << 30, Disk: 50 << 30, Meter: plague.MeterProcess})
		run("kernel", "3", time.Minute, &plague.Failure{Kind: plague.FailurePackage, Message: "no"}, plague.Usage{Memory: 90 << 30})
		kernel := plague.Learned{Took: 2 * time.Hour, Memory: 6 << 30, Disk: 50 << 30}
		want := map[string]plague.Learned{"kernel x86_64": kernel, "kernel aarch64": {}, "tree x86_64": {}}
		uid := f.submit(newJob("kernel", "4"))
		f.build(uid, "x86_64", "aarch64")
		f.build(f.submit(newJob("tree", "1")), "x86_64")
		got := map[string]plague.Learned{}
		rows, err := f.Queued(f.ctx, 0, 10)
		f.must(err)
		for _, r := range rows {
			got[r.Package+" "+r.Arch] = r.Learned
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("queued: %+v, want %+v", got, want)
		}
		rows, err = f.QueuedOf(f.ctx, []string{"kernel", "lua"}, 1)
		f.must(err)
		if len(rows) != 1 || rows[0].Job != uid || rows[0].Arch != "x86_64" || rows[0].Learned != kernel {
			t.Errorf("queued of two packages: %+v", rows)
		}
		f.assign(f.archJobs(uid)[0].ID, "b1")
		held, err := f.Held(f.ctx, "")
		f.must(err)
		learned, err := f.Learned(f.ctx, held)
		f.must(err)
		if want := (map[store.Build]plague.Learned{{Package: "kernel", Arch: "x86_64"}: kernel}); !reflect.DeepEqual(learned, want) {
			t.Errorf("of what is held: %+v", learned)
		}
	})
}

// TestOutgrown: an arch job that was too large for its builder is tried again once in a
// run, and a requeued one once more.
func TestOutgrown(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		short := plague.Failure{Kind: plague.FailureMemory, Phase: plague.PhaseBuilding, Message: "out of memory", Had: 8 << 30}
		uid := f.submit(newJob("kernel", "1"))
		id := f.build(uid, "x86_64")[0].ID
		for run := range 2 {
			a := f.assign(id, "b1")
			f.refused(f.Outgrown(f.ctx, f.term, f.now, a, "b1", plague.Failure{Kind: plague.FailurePackage}), plague.ErrConflict)
			f.must(f.Outgrown(f.ctx, f.term, f.now, a, "b1", short))
			f.refused(f.Outgrown(f.ctx, f.term, f.now, a, "b1", short), plague.ErrConflict)
			if got := f.wantArch(id, plague.ArchQueued); got.Outgrew != plague.FailureMemory || got.Above != 8<<30 || got.Reason != "out of memory" || got.Infra+got.Lost != 0 {
				t.Errorf("run %d: %+v", run, got)
			}
			rows, err := f.Queued(f.ctx, 0, 10)
			f.must(err)
			if len(rows) != 1 || rows[0].Outgrew != plague.FailureMemory || rows[0].Above != 8<<30 {
				t.Errorf("run %d, queued: %+v", run, rows)
			}
			a = f.assign(id, "b2")
			f.refused(f.Outgrown(f.ctx, f.term, f.now, a, "b2", short), plague.ErrConflict)
			f.end(a, "b2", &short)
			f.accept()
			if got := f.wantArch(id, plague.ArchFailed); got.FailureKind != plague.FailureMemory {
				t.Errorf("run %d: %+v", run, got)
			}
			attempts, err := f.Attempts(f.ctx, id)
			f.must(err)
			if len(attempts) != 2 || attempts[0].Outcome != "memory" || attempts[1].Outcome != "memory" {
				t.Errorf("run %d: %+v", run, attempts)
			}
			f.wantJob(uid, plague.JobFailed)
			if run == 0 {
				f.must(f.Requeue(f.ctx, f.now, "dev@example.com", uid))
				id = f.build(uid, "x86_64")[0].ID
			}
		}
	})
}
