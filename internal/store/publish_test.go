package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// TestSnapshots: every snapshot keeps exactly the members it was published
// with, whatever is published later.
func TestSnapshots(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		if n, err := f.Current(f.ctx, target, plague.LineBuild); err != nil || n != 0 {
			t.Errorf("an empty repository is at %d, %v", n, err)
		}
		var want [][]string
		var all []string
		for i := 1; i <= 3; i++ {
			for _, pkg := range []string{"a", "b"} {
				f.done(f.submit(newJob(pkg, fmt.Sprint(i))), "x86_64")
				all = append(all, fmt.Sprintf("%s-%d-1.x86_64.rpm", pkg, i))
			}
			if ts, err := f.PublishTargets(f.ctx); err != nil || !slices.Equal(ts, []string{target}) {
				t.Errorf("targets to publish: %v, %v", ts, err)
			}
			f.publish()
			want = append(want, slices.Clone(all))
		}
		for i, want := range want {
			got := f.members(int64(i + 1))
			if !slices.Equal(got, want) {
				t.Errorf("snapshot %d has %v, want %v", i+1, got, want)
			}
		}
		if ms, err := f.Members(f.ctx, target, plague.LineBuild, 0); err != nil || len(ms) != 0 {
			t.Errorf("before the first: %v, %v", ms, err)
		}
		if ts, err := f.PublishTargets(f.ctx); err != nil || len(ts) != 0 {
			t.Errorf("targets to publish: %v, %v", ts, err)
		}
	})
}

// TestNoarchTwice: a noarch RPM that every arch made is published once, and a
// source RPM not at all.
func TestNoarchTwice(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("tree", "1"))
		for _, a := range f.build(uid, "x86_64", "aarch64") {
			f.end(f.assign(a.ID, "b1"), "b1", nil)
			d := f.claim("test")
			files := append(results(d, d.Arch, "tree"), results(d, "noarch", "tree-doc")[1:]...)
			source := results(d, "src", "tree")[1]
			source.RPM.Source = true
			f.must(f.Accept(f.ctx, f.now, d, "test", append(files, source)))
		}
		ps, err := f.ToPublish(f.ctx, target)
		f.must(err)
		var names []string
		for _, r := range ps[0].RPMs {
			names = append(names, r.File.Name)
		}
		if want := []string{"tree-1-1.x86_64.rpm", "tree-doc-1-1.noarch.rpm", "tree-1-1.aarch64.rpm"}; !slices.Equal(names, want) {
			t.Errorf("to publish: %v, want %v", names, want)
		}
		if doc := ps[0].RPMs[1]; doc.File.Digest != digest("tree-doc-1-1.noarch.rpmx86_64") {
			t.Error("the noarch RPM is not the first arch's")
		}
		ps[0].RPMs[1].Arches = []string{"x86_64", "aarch64"}
		s := f.next()
		f.must(f.Publish(f.ctx, f.term, f.now, s, ps))
		ms, err := f.Members(f.ctx, target, plague.LineBuild, s.Number)
		f.must(err)
		for _, m := range ms {
			if m.Name == "tree-doc" && !slices.Equal(m.Arches, []string{"x86_64", "aarch64"}) {
				t.Errorf("member %+v", m)
			}
			pkg, owner, err := f.Owner(f.ctx, target, plague.LineBuild, m)
			if err != nil || pkg != "tree" || owner != uid {
				t.Errorf("owner of %s: %q, %d, %v", m.File.Name, pkg, owner, err)
			}
		}
		if pkg, _, err := f.Owner(f.ctx, target, plague.LineBuild, plague.RepoRPM{Name: "tree", Vers: "2"}); err != nil || pkg != "" {
			t.Errorf("owner of nothing: %q, %v", pkg, err)
		}
	})
}

// TestSameRPMTwice: two jobs cannot bring one NEVRA into a repository, and the
// attempt publishes neither.
func TestSameRPMTwice(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for _, pkg := range []string{"one", "two"} {
			a := f.build(f.submit(newJob(pkg, "1")), "x86_64")[0]
			f.end(f.assign(a.ID, "b1"), "b1", nil)
			d := f.claim("test")
			f.must(f.Accept(f.ctx, f.now, d, "test", results(d, "x86_64", "libsame")))
		}
		ps, err := f.ToPublish(f.ctx, target)
		f.must(err)
		f.unchanged("one RPM of two packages", func() error { return f.Publish(f.ctx, f.term, f.now, f.next(), ps) })
		f.must(f.Publish(f.ctx, f.term, f.now, f.next(), ps[:1]))
		f.unchanged("an RPM that is another's", func() error { return f.Publish(f.ctx, f.term, f.now, f.next(), ps[1:]) })
		f.must(f.FailJob(f.ctx, f.term, f.now, ps[1].Job.UID, 1, plague.JobAddToRepo, "libsame is of package one"))
	})
}

// TestPointer: of two who publish the same number one has moved the pointer,
// and the other has changed nothing.
func TestPointer(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for i := range rounds / 2 {
			uids := []plague.JobID{f.submit(newJob("a", fmt.Sprint(i))), f.submit(newJob("b", fmt.Sprint(i)))}
			var acts []func() error
			s := f.next()
			for _, uid := range uids {
				f.done(uid, "x86_64")
			}
			ps, err := f.ToPublish(f.ctx, target)
			f.must(err)
			for k := range ps {
				acts = append(acts, func() error { return f.Publish(f.ctx, f.term, f.now, s, ps[k:k+1]) })
			}
			errs := together(acts...)
			won := 0
			if errs[0] != nil {
				won = 1
			}
			f.must(errs[won])
			f.refused(errs[1-won], plague.ErrConflict)
			f.wantJob(uids[won], plague.JobNeedSign)
			f.wantJob(uids[1-won], plague.JobAddToRepo)
			f.publish()
		}
	})
}

// TestPinned: what unfinished runs are pinned to is not to be removed.
func TestPinned(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		f.done(f.submit(newJob("a", "1")), "x86_64")
		f.publish()
		uid := f.submit(newJob("b", "1"))
		f.begin(uid)
		f.must(f.Build(f.ctx, f.term, f.now, uid, 1, built("x86_64"), plague.Pin{Snapshot: 1}))
		if ns, err := f.PinnedSnapshots(f.ctx, target); err != nil || !slices.Equal(ns, []int64{1}) {
			t.Errorf("pinned: %v, %v", ns, err)
		}
		f.must(f.Kill(f.ctx, f.now, "x", uid))
		if ns, err := f.PinnedSnapshots(f.ctx, target); err != nil || len(ns) != 0 {
			t.Errorf("pinned: %v, %v", ns, err)
		}
	})
}

// TestDownloads: a download is one claimant's until the lease has run out or
// it was given back.
func TestDownloads(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		const n = 8
		for i := range n {
			f.end(f.assign(f.build(f.submit(newJob("p"+fmt.Sprint(i), "1")), "x86_64")[0].ID, "b1"), "b1", nil)
		}
		claims := make(chan *store.Download, 100)
		var acts []func() error
		for i := range 8 {
			acts = append(acts, func() error {
				for {
					d, err := storetest.Only(f.ClaimDownloads(f.ctx, f.now, fmt.Sprint("s", i), time.Minute, 1, 100))
					if d == nil || err != nil {
						return err
					}
					claims <- d
				}
			})
		}
		for _, err := range together(acts...) {
			f.must(err)
		}
		close(claims)
		claimed := map[plague.ArchJobID]bool{}
		for d := range claims {
			if claimed[d.ArchJob] {
				t.Errorf("arch job %d is claimed twice", d.ArchJob)
			}
			claimed[d.ArchJob] = true
		}
		if len(claimed) != n {
			t.Errorf("%d of %d are claimed", len(claimed), n)
		}
		f.later(2 * time.Minute)
		d := f.claim("late") // of somebody who has not come back
		due := f.now.Add(time.Hour)
		f.must(f.DownloadLater(f.ctx, d, "late", due, false, "busy"))
		for range n - 1 {
			if other := f.claim("late"); other.ArchJob == d.ArchJob {
				t.Error("claimed before it is due")
			}
		}
		if none, err := storetest.Only(f.ClaimDownloads(f.ctx, f.now, "late", time.Minute, 1, 100)); err != nil || none != nil {
			t.Errorf("claimed %+v, %v", none, err)
		}
		f.unchanged("Accept of what was given back", func() error { return f.Accept(f.ctx, f.now, d, "late", nil) })
		f.now = due
		for range n {
			if again := f.claim("later"); again.ArchJob == d.ArchJob && again.Tries != 1 {
				t.Errorf("%d tries", again.Tries)
			}
		}
		f.must(f.DownloadLater(f.ctx, d, "later", due, true, "slow")) // part of it came
		if again := f.claim("last"); again.Tries != 1 || !again.Since.Equal(f.archJob(d.ArchJob).StateAt) {
			t.Errorf("%d tries since %s", again.Tries, again.Since)
		}
	})
}
