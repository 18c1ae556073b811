package store_test

import (
	"strings"
	"testing"

	"plague"
	"plague/internal/store"
)

func tagged(pkg, tag string) store.NewJob {
	return store.NewJob{User: "dev@example.com", Package: pkg, Source: tag, Target: target}
}

// checkout takes a waiting job without an SRPM to checkout, on builder b1.
func (f *farm) checkout(uid plague.JobID) plague.AttemptID {
	f.t.Helper()
	f.begin(uid)
	f.wantJob(uid, plague.JobInitialize)
	f.must(f.Checkout(f.ctx, f.term, f.now, uid, f.job(uid).Run, []string{"x86_64", "aarch64"}, pin))
	f.wantJob(uid, plague.JobCheckout)
	a := f.archJobs(uid)[0]
	if a.Kind != plague.KindSRPM || a.Arch != plague.ArchSource {
		f.t.Errorf("its arch job is %s for %s", a.Kind, a.Arch)
	}
	return f.assign(a.ID, "b1")
}

// made is a source package that an attempt has made.
func made(d *store.Download, pkg, v string) []store.JobFile {
	name := pkg + "-" + v + "-1.src.rpm"
	return []store.JobFile{{Arch: d.Arch, Run: d.Job.Run, Attempt: d.Number, Artifact: plague.Artifact{Name: name, Digest: digest(name), Size: 9},
		RPM: &store.RPM{Name: pkg, Version: v, Release: "1", Arch: "src", Source: true}}}
}

var commit = plague.Pinned{Kind: "git", URL: "https://example.com/tree", Revision: "0123abcd", Tree: digest("tree")}

// TestTag: a job that names a tag gets its SRPM from a builder, and goes on as any
// other; another run builds the same SRPM.
func TestTag(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(tagged("tree", "v1"))
		a := f.checkout(uid)
		f.unchanged("checkout twice", func() error { return f.Checkout(f.ctx, f.term, f.now, uid, 1, nil, pin) })
		f.must(f.Running(f.ctx, f.term, f.now, a, "b1", plague.PhaseDownloading))
		f.wantJob(uid, plague.JobCheckout)
		f.unchanged("fetched by another", func() error { return f.Fetched(f.ctx, f.term, f.now, a, "b2", &commit) })
		f.must(f.Fetched(f.ctx, f.term, f.now, a, "b1", nil))
		f.must(f.Fetched(f.ctx, f.term, f.now, a, "b1", &commit))
		f.wantJob(uid, plague.JobMakeSRPM)
		f.must(f.Ended(f.ctx, f.term, f.now, a, "b1", nil, nil, plague.Usage{}))
		d := f.claim("test")
		if d.Kind != plague.KindSRPM {
			t.Errorf("the download is of kind %s", d.Kind)
		}
		f.must(f.Accept(f.ctx, f.now, d, "test", made(d, "tree", "1")))
		j := f.wantJob(uid, plague.JobPrep)
		if j.NVR() != "tree-1-1" || j.SRPM != digest("tree-1-1.src.rpm") || j.SRPMSize != 9 {
			t.Errorf("its source package is %s, %s, %d bytes", j.NVR(), j.SRPM, j.SRPMSize)
		}
		if p, err := f.Source(f.ctx, uid, 1); err != nil || *p != commit {
			t.Errorf("pinned %+v, %v", p, err)
		}
		if held, err := f.Referenced(f.ctx, j.SRPM); err != nil || !held {
			t.Errorf("its SRPM is held: %v, %v", held, err)
		}
		f.must(f.Build(f.ctx, f.term, f.now, uid, 1, built("x86_64"), pin))
		f.end(f.assign(f.archJobs(uid)[1].ID, "b1"), "b1", nil)
		f.accept()
		f.publish()
		if got := f.members(1); strings.Join(got, " ") != "tree-1-1.x86_64.rpm" {
			t.Errorf("published %v", got)
		}
	})
}

// TestTagFails: what the packager has to mend fails the job, the farm's trouble is
// tried again, and a version that the target has already is refused then.
func TestTagFails(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		broken := f.submit(tagged("broken", "v1"))
		f.end(f.checkout(broken), "b1", &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "no spec"})
		d := f.claim("test")
		f.must(f.Accept(f.ctx, f.now, d, "test", nil))
		if j := f.wantJob(broken, plague.JobFailed); !strings.Contains(j.Reason, "no spec") {
			t.Errorf("reason %q", j.Reason)
		}
		f.must(f.Requeue(f.ctx, f.now, "dev@example.com", broken))
		a := f.checkout(broken)
		if _, err := f.Back(f.ctx, f.term, f.now, a, "b1", plague.FailureInfrastructure, "no disk", 2); err != nil {
			t.Fatal(err)
		}
		f.wantJob(broken, plague.JobCheckout)
		a = f.assign(a.ArchJob, "b2")
		f.must(f.Fetched(f.ctx, f.term, f.now, a, "b2", &commit))
		if final, err := f.Back(f.ctx, f.term, f.now, a, "b2", plague.FailureInfrastructure, "no disk", 2); err != nil || !final {
			t.Fatalf("final: %v, %v", final, err)
		}
		f.wantJob(broken, plague.JobFailed)

		killed := f.submit(tagged("killed", "v1"))
		f.checkout(killed)
		f.must(f.Kill(f.ctx, f.now, "dev@example.com", killed))
		f.wantJob(killed, plague.JobKilled)

		first := f.submit(newJob("tree", "1"))
		second := f.submit(tagged("tree", "v1"))
		f.end(f.checkout(second), "b1", nil)
		d = f.claim("test")
		f.must(f.Accept(f.ctx, f.now, d, "test", made(d, "tree", "1")))
		if j := f.wantJob(second, plague.JobFailed); !strings.Contains(j.Reason, "job "+string('0'+rune(first))) {
			t.Errorf("reason %q", j.Reason)
		}
		scratch := tagged("tree", "v1")
		scratch.Scratch = true
		third := f.submit(scratch)
		f.end(f.checkout(third), "b1", nil)
		d = f.claim("test")
		f.must(f.Accept(f.ctx, f.now, d, "test", made(d, "tree", "1")))
		f.wantJob(third, plague.JobPrep)
	})
}

// TestTagsTogether: of two that make the same version at the same moment one is built.
func TestTagsTogether(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for range rounds / 4 {
			pkg := "p" + strings.ToLower(digest(f.now.String())[:6])
			var acts []func() error
			uids := []plague.JobID{f.submit(tagged(pkg, "a")), f.submit(tagged(pkg, "b"))}
			for _, uid := range uids {
				f.end(f.checkout(uid), "b1", nil)
				d := f.claim("test")
				acts = append(acts, func() error { return f.Accept(f.ctx, f.now, d, "test", made(d, pkg, "1")) })
			}
			for _, err := range together(acts...) {
				f.must(err)
			}
			states := []plague.JobState{f.job(uids[0]).State, f.job(uids[1]).State}
			if states[0] == states[1] || !strings.Contains(string(states[0]+states[1]), "prep") || !strings.Contains(string(states[0]+states[1]), "failed") {
				t.Errorf("they are %v", states)
			}
			f.later(1)
		}
	})
}
