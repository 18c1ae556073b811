package store_test

import (
	"reflect"
	"testing"

	"plague"
)

// built decides for arches, each in a buildroot of its own.
func built(arches ...string) (ds []plague.Decision) {
	for _, arch := range arches {
		ds = append(ds, plague.Decision{Arch: arch, Built: true, Rule: "because", Roots: []string{arch}})
	}
	return ds
}

// What decided on the arches of a job is kept, also of one that none is left for;
// the buildroots go with the arch jobs.
func TestDecisions(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		ds := append(built("x86_64"),
			plague.Decision{Arch: "ppc", Rule: "ExcludeArch lists it"},
			plague.Decision{Arch: "noarch", Built: true, Rule: "optional arch that the package asks for", Roots: []string{"i386", "x86_64"}})
		uid := f.submit(newJob("tree", "1"))
		if got, err := f.Decisions(f.ctx, uid); err != nil || got != nil {
			t.Errorf("before prep: %+v, %v", got, err)
		}
		f.begin(uid)
		f.must(f.Build(f.ctx, f.term, f.now, uid, 1, ds, pin))
		as, err := f.ArchJobs(f.ctx, uid, 1)
		f.must(err)
		if len(as) != 2 || !reflect.DeepEqual(as[1].Roots, []string{"i386", "x86_64"}) {
			t.Errorf("the arch jobs are %+v", as)
		}
		ds[0].Roots, ds[2].Roots = nil, nil // they are the arch jobs'
		if got, err := f.Decisions(f.ctx, uid); err != nil || !reflect.DeepEqual(got, ds) {
			t.Errorf("kept are %+v, %v", got, err)
		}
		none := f.submit(newJob("none", "1"))
		f.begin(none)
		f.must(f.NoArch(f.ctx, f.term, f.now, none, 1, ds[1:2], "nothing is left"))
		got, err := f.Decisions(f.ctx, none)
		if j := f.job(none); err != nil || !reflect.DeepEqual(got, ds[1:2]) || j.State != plague.JobFailed || j.Reason != "nothing is left" {
			t.Errorf("of %+v are kept %+v, %v", j, got, err)
		}
	})
}
