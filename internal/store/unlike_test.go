package store_test

import (
	"errors"
	"testing"

	"plague"
	"plague/internal/store"
)

// docs are the results of an attempt that makes a noarch RPM beside its own.
func docs(d *store.Download, likeness string) []store.JobFile {
	files := results(d, d.Arch, d.Job.Package)
	return append(files, store.JobFile{Arch: d.Arch, Run: d.Job.Run, Attempt: d.Number,
		Artifact: plague.Artifact{Name: "doc-1-1.noarch.rpm", Digest: digest(d.Arch + likeness), Size: 9},
		RPM:      &store.RPM{Name: "doc", Version: "1", Release: "1", Arch: "noarch", Likeness: likeness}})
}

// Of two arches that make different noarch RPMs of one name only one is accepted, also
// when both come in one moment; another run, or another job, is not held against it.
func TestUnlike(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		before := f.submit(newJob("tree", "0"))
		f.build(before, "i686")
		f.end(f.assign(f.archJobs(before)[0].ID, "b1"), "b1", nil)
		d := f.claim("one")
		f.must(f.Accept(f.ctx, f.now, d, "one", docs(d, "old")))

		uid := f.submit(newJob("tree", "1"))
		for _, a := range f.build(uid, "x86_64", "aarch64", "i686") {
			f.end(f.assign(a.ID, "b1"), "b1", nil)
		}
		one, two, three := f.claim("one"), f.claim("two"), f.claim("three")
		errs := together(
			func() error { return f.Accept(f.ctx, f.now, one, "one", docs(one, "a")) },
			func() error { return f.Accept(f.ctx, f.now, two, "two", docs(two, "b")) })
		won, lost, who, like := one, two, "two", "a"
		err := errs[1]
		if errs[0] != nil {
			won, lost, who, like, err = two, one, "one", "b", errs[0]
		}
		var e *store.UnlikeError
		if errs[0] != nil && errs[1] != nil || !errors.As(err, &e) {
			t.Fatalf("both at once: %v", errs)
		}
		if want := (store.UnlikeError{File: "doc-1-1.noarch.rpm", Arch: lost.Arch, Other: won.Arch, Mine: e.Mine, Theirs: digest(won.Arch + like)}); *e != want {
			t.Errorf("it is %+v, want %+v", *e, want)
		}
		f.must(f.Accept(f.ctx, f.now, three, "three", docs(three, like)))
		f.must(f.FailDownload(f.ctx, f.now, lost, who, plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseDone, Message: "unlike"}, 5))
		if j := f.wantJob(uid, plague.JobFailed); j.Reason != lost.Arch+": unlike" {
			t.Errorf("it failed because %s", j.Reason)
		}
		f.must(f.Requeue(f.ctx, f.now, "root@farm", uid))
		for _, a := range f.build(uid, "x86_64", "aarch64") {
			f.end(f.assign(a.ID, "b1"), "b1", nil)
			d := f.claim("one")
			f.must(f.Accept(f.ctx, f.now, d, "one", docs(d, "c")))
		}
		f.wantJob(uid, plague.JobAddToRepo)
	})
}
