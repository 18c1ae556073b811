package store_test

import (
	"slices"
	"testing"

	"plague"
	"plague/internal/store"
)

// TestRetire: what is retired is in no snapshot after the next, is in those before
// for ever, and its name is not given again; the jobs beside it stay.
func TestRetire(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		bad, good := f.submit(newJob("bad", "1")), f.submit(newJob("good", "1"))
		f.unchanged("retire of a waiting job", func() error { return f.Retire(f.ctx, f.now, "root@example.com", bad, "") })
		f.done(bad, "x86_64")
		f.done(good, "x86_64")
		f.publish()
		f.unchanged("a snapshot without what nobody retired", func() error {
			return f.PublishWithout(f.ctx, f.term, f.now, f.next(), []plague.JobID{bad})
		})
		f.must(f.Retire(f.ctx, f.now, "root@example.com", bad, "eats disks"))
		f.unchanged("retire twice", func() error { return f.Retire(f.ctx, f.now, "root@example.com", bad, "") })
		f.refused(f.Retire(f.ctx, f.now, "root@example.com", 99, ""), plague.ErrNotFound)
		f.wantRetired(bad, 0)
		uids, err := f.ToRetire(f.ctx, target)
		f.must(err)
		if !slices.Equal(uids, []plague.JobID{bad}) {
			t.Errorf("to retire: %v", uids)
		}
		late := f.next()
		late.Parent--
		f.unchanged("on a snapshot that is not the newest", func() error { return f.PublishWithout(f.ctx, f.term, f.now, late, uids) })
		f.must(f.PublishWithout(f.ctx, f.term, f.now, f.next(), uids))
		f.wantRetired(bad, 2)
		f.unchanged("twice", func() error { return f.PublishWithout(f.ctx, f.term, f.now, f.next(), uids) })
		if uids, err := f.ToRetire(f.ctx, target); err != nil || len(uids) > 0 {
			t.Errorf("still to retire: %v, %v", uids, err)
		}
		for n, want := range map[int64][]string{1: {"bad-1-1.x86_64.rpm", "good-1-1.x86_64.rpm"}, 2: {"good-1-1.x86_64.rpm"}} {
			if got := f.members(n); !slices.Equal(got, want) {
				t.Errorf("snapshot %d holds %v, want %v", n, got, want)
			}
		}
		if r, err := f.Retirement(f.ctx, good); err != nil || r != nil {
			t.Errorf("the other is retired: %+v, %v", r, err)
		}
		f.wantJob(bad, plague.JobNeedSign)
		rpm := plague.RepoRPM{Name: "bad", Vers: "1", Rel: "1", Arch: "x86_64"}
		if pkg, uid, err := f.Owner(f.ctx, target, plague.LineBuild, rpm); err != nil || pkg != "bad" || uid != bad {
			t.Errorf("the name is of %q (job %d), %v", pkg, uid, err)
		}
		if _, err := f.Submit(f.ctx, f.now, newJob("bad", "1")); err == nil {
			t.Error("a retired NVR was taken once more")
		}
	})
}

func (f *farm) members(n int64) (names []string) {
	f.t.Helper()
	ms, err := f.Members(f.ctx, target, plague.LineBuild, n)
	f.must(err)
	for _, m := range ms {
		names = append(names, m.File.Name)
	}
	return names
}

func (f *farm) wantRetired(uid plague.JobID, in int64) {
	f.t.Helper()
	r, err := f.Retirement(f.ctx, uid)
	f.must(err)
	if want := (store.Retired{Job: uid, At: r.At, Who: "root@example.com", Why: "eats disks", Snapshot: in}); *r != want || !r.At.Equal(f.now) {
		f.t.Errorf("retired: %+v, want %+v", *r, want)
	}
}
