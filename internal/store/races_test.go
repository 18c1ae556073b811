package store_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// together runs all at the same time and gives their errors.
func together(acts ...func() error) []error {
	errs := make([]error, len(acts))
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i, act := range acts {
		wg.Go(func() {
			<-begin
			errs[i] = act()
		})
	}
	close(begin)
	wg.Wait()
	return errs
}

const rounds = 20

// TestKillAgainst: in each round a kill meets something the farm does in the
// same moment. Until the publish commit the kill wins, before or after; the
// audit at the end finds what was half done.
func TestKillAgainst(t *testing.T) {
	for _, against := range []struct {
		name string
		// prepare gives what happens at the same time.
		prepare func(f *farm, uid plague.JobID) func() error
	}{
		{"Begin", func(f *farm, uid plague.JobID) func() error {
			return func() error { _, err := f.Begin(f.ctx, f.term, f.now, []plague.JobID{uid}); return err }
		}},
		{"Build", func(f *farm, uid plague.JobID) func() error {
			f.begin(uid)
			return func() error {
				return f.Build(f.ctx, f.term, f.now, uid, 1, built("x86_64", "aarch64"), pin)
			}
		}},
		{"Assign", func(f *farm, uid plague.JobID) func() error {
			var plan []store.Assignment
			for _, a := range f.build(uid, "x86_64", "aarch64", "s390x") {
				plan = append([]store.Assignment{{ArchJob: a.ID, Builder: "b1", Token: rand.Text()}}, plan...) // the other way round than a kill
			}
			return func() error { _, err := f.Assign(f.ctx, f.term, f.now, plan); return err }
		}},
		{"Running", func(f *farm, uid plague.JobID) func() error {
			a := f.assign(f.build(uid, "x86_64")[0].ID, "b1")
			return func() error { return f.Running(f.ctx, f.term, f.now, a, "b1", plague.PhaseBuilding) }
		}},
		{"Ended", func(f *farm, uid plague.JobID) func() error {
			a := f.assign(f.build(uid, "x86_64")[0].ID, "b1")
			return func() error { return f.Ended(f.ctx, f.term, f.now, a, "b1", nil, nil, plague.Usage{}) }
		}},
		{"Back", func(f *farm, uid plague.JobID) func() error {
			a := f.assign(f.build(uid, "x86_64")[0].ID, "b1")
			return func() error {
				_, err := f.Back(f.ctx, f.term, f.now, a, "b1", plague.FailureLost, "lost", 5)
				return err
			}
		}},
		{"Claim", func(f *farm, uid plague.JobID) func() error {
			f.end(f.assign(f.build(uid, "x86_64")[0].ID, "b1"), "b1", nil)
			return func() error {
				_, err := storetest.Only(f.ClaimDownloads(f.ctx, f.now, "test", time.Minute, 1, 100))
				return err
			}
		}},
		{"Accept", func(f *farm, uid plague.JobID) func() error {
			f.end(f.assign(f.build(uid, "x86_64")[0].ID, "b1"), "b1", nil)
			d := f.claim("test")
			return func() error { return f.Accept(f.ctx, f.now, d, "test", results(d, "x86_64", d.Job.Package)) }
		}},
	} {
		t.Run(against.name, func(t *testing.T) {
			both(t, func(t *testing.T, f *farm) {
				for i := range rounds {
					uid := f.submit(newJob("p"+fmt.Sprint(i), "1"))
					act := against.prepare(f, uid)
					errs := together(func() error { return f.Kill(f.ctx, f.now, "x", uid) }, act)
					f.must(errs[0])
					if errs[1] != nil && !errors.Is(errs[1], plague.ErrConflict) {
						t.Fatalf("against a kill: %v", errs[1])
					}
					f.wantJob(uid, plague.JobKilled)
				}
			})
		})
	}
}

// TestKillAgainstPublish: exactly one of the two happens, and wholly.
func TestKillAgainstPublish(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for i := range rounds {
			uids := []plague.JobID{f.submit(newJob("a"+fmt.Sprint(i), "1")), f.submit(newJob("b"+fmt.Sprint(i), "1"))}
			for _, uid := range uids {
				f.done(uid, "x86_64")
			}
			ps, err := f.ToPublish(f.ctx, target)
			f.must(err)
			s := f.next()
			victim := uids[i%2]
			errs := together(func() error { return f.Kill(f.ctx, f.now, "x", victim) }, func() error { return f.Publish(f.ctx, f.term, f.now, s, ps) })
			n, err := f.Current(f.ctx, target, plague.LineBuild)
			f.must(err)
			switch {
			case errs[0] == nil && errors.Is(errs[1], plague.ErrConflict):
				if n != s.Parent {
					t.Fatalf("a refused publish moved the pointer to %d", n)
				}
				f.wantJob(victim, plague.JobKilled)
				f.wantJob(uids[1-i%2], plague.JobAddToRepo)
				f.publish()
			case errs[1] == nil && errors.Is(errs[0], plague.ErrConflict):
				if n != s.Number {
					t.Fatalf("after publish %d the pointer is at %d", s.Number, n)
				}
				f.wantJob(victim, plague.JobNeedSign)
			default:
				t.Fatalf("kill: %v, publish: %v", errs[0], errs[1])
			}
			f.wantJob(uids[1-i%2], plague.JobNeedSign)
		}
	})
}

// TestSameVersionAtOnce: of many who submit or requeue one version at the same
// time one wins, and the others are told which.
func TestSameVersionAtOnce(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		n := newJob("ethtool", "1.8")
		f.must(f.AddUpload(f.ctx, f.now, n.User, n.SRPM, n.SRPMSize))
		for range 3 {
			var acts []func() error
			for range 16 {
				acts = append(acts, func() error { _, err := f.Submit(f.ctx, f.now, n); return err })
			}
			won := f.oneWins(together(acts...))
			f.must(f.Kill(f.ctx, f.now, "x", won))
		}
		killed, err := f.Jobs(f.ctx, store.Filter{Limit: 100})
		f.must(err)
		var acts []func() error
		for _, j := range killed {
			for range 4 {
				acts = append(acts, func() error { return f.Requeue(f.ctx, f.now, "x", j.UID) })
			}
		}
		f.oneWins(together(acts...))
	})
}

// oneWins: one has no error; the others are refusals that name its job.
func (f *farm) oneWins(errs []error) plague.JobID {
	f.t.Helper()
	js, err := f.JobsIn(f.ctx, plague.JobWaiting, 0, 10)
	f.must(err)
	if len(js) != 1 {
		f.t.Fatalf("%d jobs wait: %v", len(js), errs)
	}
	won := 0
	for _, err := range errs {
		var r *plague.Refusal
		switch {
		case err == nil:
			won++
		case !errors.As(err, &r) || !errors.Is(err, plague.ErrConflict):
			f.t.Errorf("%v, want a refusal", err)
		case !strings.Contains(r.Text, fmt.Sprintf("job %d", js[0].UID)):
			f.t.Errorf("%q does not name job %d", r.Text, js[0].UID)
		}
	}
	if won != 1 {
		f.t.Fatalf("%d have won", won)
	}
	return js[0].UID
}

// TestManyAtOnce: a crowd that does everything at once; the audit judges.
func TestManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		const packagers, jobs = 6, 12
		var acts []func() error
		for p := range packagers {
			acts = append(acts, func() error { return f.packager(p, jobs) })
		}
		for b := range 3 {
			acts = append(acts, func() error { return f.worker(fmt.Sprint("b", b), packagers*jobs) })
		}
		for _, err := range together(acts...) {
			f.must(err)
		}
		ps, err := f.ToPublish(f.ctx, target)
		f.must(err)
		f.must(f.Publish(f.ctx, f.term, f.now, f.next(), ps))
		js, err := f.Jobs(f.ctx, store.Filter{Limit: 1000})
		f.must(err)
		for _, j := range js {
			if !j.Resting() {
				t.Errorf("job %d is %s", j.UID, j.State)
			}
		}
	})
}

// packager submits jobs, and kills and requeues some of them.
func (f *farm) packager(p, jobs int) error {
	for i := range jobs {
		n := newJob(fmt.Sprintf("p%d-%d", p, i), "1")
		if err := f.AddUpload(f.ctx, f.now, n.User, n.SRPM, n.SRPMSize); err != nil {
			return err
		}
		uid, err := f.Submit(f.ctx, f.now, n)
		if err != nil {
			return err
		}
		if i%3 != 0 {
			continue
		}
		for _, err := range []error{f.Kill(f.ctx, f.now, "x", uid), f.Requeue(f.ctx, f.now, "x", uid)} {
			if err != nil && !errors.Is(err, plague.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// worker is leader and builder in one: it moves on whatever it finds until all
// the jobs are past building. Others do the same, so every conflict is fair.
func (f *farm) worker(name string, jobs int) error {
	for {
		past := 0
		counts, err := f.Counts(f.ctx)
		if err != nil {
			return err
		}
		for _, s := range []plague.JobState{plague.JobAddToRepo, plague.JobFailed, plague.JobKilled} {
			past += int(counts[s])
		}
		if past >= jobs {
			return nil
		}
		for _, step := range []func(string) error{f.stepJobs, f.stepQueue, f.stepDownload} {
			if err := step(name); err != nil && !errors.Is(err, plague.ErrConflict) {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
}

func (f *farm) stepJobs(string) error {
	ready, err := f.Ready(f.ctx, 5)
	if err != nil {
		return err
	}
	if _, err := f.Begin(f.ctx, f.term, f.now, uids(ready)); err != nil {
		return err
	}
	js, err := f.JobsIn(f.ctx, plague.JobPrep, 0, 5)
	if err != nil {
		return err
	}
	for _, j := range js {
		if err := f.Build(f.ctx, f.term, f.now, j.UID, j.Run, built("x86_64", "aarch64"), pin); err != nil {
			return err
		}
	}
	return nil
}

func (f *farm) stepQueue(name string) error {
	rows, err := f.Queued(f.ctx, 0, 3)
	if err != nil {
		return err
	}
	var plan []store.Assignment
	for _, r := range rows {
		plan = append(plan, store.Assignment{ArchJob: r.ID, Builder: name, Token: rand.Text()})
	}
	done, err := f.Assign(f.ctx, f.term, f.now, plan)
	if err != nil {
		return err
	}
	for i, a := range done {
		if i == 2 {
			_, err = f.Back(f.ctx, f.term, f.now, a, name, plague.FailureLost, "lost", 1000)
		} else {
			err = f.Ended(f.ctx, f.term, f.now, a, name, nil, nil, plague.Usage{})
		}
		if err != nil && !errors.Is(err, plague.ErrConflict) {
			return err
		}
	}
	return nil
}

func (f *farm) stepDownload(name string) error {
	d, err := storetest.Only(f.ClaimDownloads(f.ctx, f.now, name, time.Minute, 1, 100))
	if err != nil || d == nil {
		return err
	}
	return f.Accept(f.ctx, f.now, d, name, results(d, d.Arch, d.Job.Package))
}

// TestRenewalAgainst: whoever revokes a name, or removes its builder, leaves nothing that
// is good, also when one of its certificates is renewed in the same moment.
func TestRenewalAgainst(t *testing.T) {
	for what, end := range map[string]func(f *farm, name string) error{
		"Revoke": func(f *farm, name string) error {
			_, err := f.Revoke(f.ctx, f.now, "root@farm", name, "stolen")
			return err
		},
		"RemoveBuilder": func(f *farm, name string) error { return f.RemoveBuilder(f.ctx, f.now, "root@farm", name, "stolen") },
	} {
		t.Run(what, func(t *testing.T) {
			both(t, func(t *testing.T, f *farm) {
				renewed := 0
				for i := range 3 * rounds {
					name := fmt.Sprint("builder", i)
					cert := func(n int) store.Certificate {
						return store.Certificate{Fingerprint: fmt.Sprintf("%s-%d", name, n), Serial: fmt.Sprintf("%d%d", i, n), Role: "builder", Name: name, SeenAt: f.now, EndsAt: f.now.Add(time.Hour)}
					}
					if err := f.Enrol(f.ctx, store.Enrolled{Name: name, URL: "https://b:1", At: f.now, Who: "root@farm"}, cert(0)); err != nil {
						t.Fatal(err)
					}
					errs := together(
						func() error { return f.Renewed(f.ctx, cert(0).Fingerprint, cert(1)) },
						func() error { return end(f, name) },
					)
					if errs[1] != nil || errs[0] != nil && !errors.Is(errs[0], plague.ErrDenied) {
						t.Fatal(errs)
					}
					if errs[0] == nil {
						renewed++
					}
				}
				all, err := f.Certificates(f.ctx)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range all {
					if c.RevokedAt.IsZero() {
						t.Errorf("the certificate %s is good", c.Fingerprint)
					}
				}
				if left, err := f.Enrolled(f.ctx); err != nil || len(left) > 0 {
					t.Errorf("builders still: %v, %v", left, err)
				}
				t.Logf("%d were renewed first", renewed)
			})
		})
	}
}
