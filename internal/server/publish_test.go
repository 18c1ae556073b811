package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"
	"plague/internal/repo"
	"plague/internal/rpm"
	"plague/internal/store"
	"plague/internal/store/storetest"

	"golang.org/x/sync/errgroup"
)

// press is a farm without builders whose jobs come to be published.
type press struct {
	*history
	names int
}

func newPress(t *testing.T, m repo.Metadata) *press {
	h := newHistory(t, 1)
	open := func(name string) *durable.Dir {
		d, err := durable.Open(filepath.Join(t.TempDir(), name), 0o755)
		h.must(err)
		t.Cleanup(func() { d.Close() })
		return d
	}
	h.s.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	h.s.Name, h.s.Results = "here", open("results")
	var err error
	h.s.Artifacts, err = artifact.OpenDir(open("artifacts"))
	h.must(err)
	h.s.Tree, err = repo.Open(h.s.Results, m, h.s.Log)
	h.must(err)
	return &press{history: h}
}

// job brings a job with one RPM of this content to addtorepo; nil: a good one.
func (p *press) job(target string, content []byte) plague.JobID {
	p.t.Helper()
	return p.jobOf(target, fmt.Sprint("p", p.names+1), fmt.Sprint("p", p.names+1), content)
}

// jobOf is job for a package that makes an RPM of another name.
func (p *press) jobOf(target, pkg, name string, content []byte) plague.JobID {
	p.t.Helper()
	p.names++
	n := rpm.NEVRA{Name: name, EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: rpm.Noarch}
	if content == nil {
		content = rpm.Blank{NEVRA: n, SourceRPM: pkg + "-1-1.src.rpm"}.Bytes()
	}
	ctx, now, db := p.t.Context(), time.Now(), p.s.DB
	digest, size, err := p.s.Artifacts.Add(ctx, bytes.NewReader(content), 1<<20)
	p.must(err)
	file := plague.Artifact{Name: n.Filename(), Digest: digest.String(), Size: size}
	d := p.ended(target, pkg, nil, file)
	p.must(db.Accept(ctx, now, d, "here", []store.JobFile{{Arch: "x86_64", Run: 1, Attempt: 1, Artifact: file,
		RPM: &store.RPM{Name: n.Name, Version: "1", Release: "1", Arch: n.Arch}}}))
	return d.Job.UID
}

// ended brings a job as far as the files of its only attempt, on builder b1,
// and claims them.
func (p *press) ended(target, pkg string, f *plague.Failure, files ...plague.Artifact) *store.Download {
	p.t.Helper()
	ctx, now, db := p.t.Context(), time.Now(), p.s.DB
	srpm := fmt.Sprintf("%064x", p.names)
	p.must(db.AddUpload(ctx, now, "ann@farm", srpm, 1))
	uid, err := db.Submit(ctx, now, store.NewJob{User: "ann@farm", Package: pkg, SRPM: srpm, SRPMSize: 1, Target: target, Epoch: "0", Version: "1", Release: "1"})
	p.must(err)
	_, err = db.Begin(ctx, p.term, now, []plague.JobID{uid})
	p.must(err)
	p.must(db.Build(ctx, p.term, now, uid, 1, []plague.Decision{{Arch: "x86_64", Built: true}}, plague.Pin{}))
	arches, err := db.ArchJobsOf(ctx, []plague.JobID{uid})
	p.must(err)
	id := plague.AttemptID{ArchJob: arches[uid][0].ID, Number: 1, Token: rand.Text()}
	_, err = db.Assign(ctx, p.term, now, []store.Assignment{{ArchJob: id.ArchJob, Builder: "b1", Token: id.Token}})
	p.must(err)
	p.must(db.Ended(ctx, p.term, now, id, "b1", f, files, plague.Usage{}))
	return p.claim()
}

func (p *press) claim() *store.Download {
	p.t.Helper()
	d, err := storetest.Only(p.s.DB.ClaimDownloads(p.t.Context(), time.Now().Add(time.Hour), "here", time.Minute, 1, 100)) // in an hour every pause is over
	p.must(err)
	if d == nil {
		p.t.Fatal("there is nothing to download")
	}
	return d
}

func (p *press) state(uid plague.JobID) (plague.JobState, string) {
	p.t.Helper()
	j, err := p.s.DB.Job(p.t.Context(), uid)
	p.must(err)
	return j.State, j.Reason
}

func (p *press) want(state plague.JobState, uids ...plague.JobID) {
	p.t.Helper()
	for _, uid := range uids {
		if got, why := p.state(uid); got != state {
			p.t.Errorf("job %d is %s (%s), not %s", uid, got, why, state)
		}
	}
}

func (p *press) publisher() *publisher {
	return &publisher{s: p.s, term: p.term, t: &p.s.Offered()[0]}
}

const lab = "lab-12-extras"

// One RPM that createrepo_c rejects stops nobody else's job, waits longer and
// longer, and fails in the end with what createrepo_c said.
func TestOneBrokenRPM(t *testing.T) {
	p := newPress(t, repo.Createrepo("createrepo_c"))
	var good []plague.JobID
	for range 3 {
		good = append(good, p.job(lab, nil))
	}
	broken := p.job(lab, []byte("this is no RPM"))
	for range 4 {
		good = append(good, p.job(lab, nil))
	}
	of := p.publisher()
	p.must(of.round(t.Context()))
	p.want(plague.JobNeedSign, good...)
	p.want(plague.JobAddToRepo, broken)

	late := p.job(lab, nil)
	p.must(of.round(t.Context()))
	p.want(plague.JobNeedSign, late)
	if r := of.culprits[broken]; r.setbacks != 1 || !time.Now().Before(r.until) {
		t.Errorf("the culprit was tried %d times and waits until %s", r.setbacks, r.until)
	}
	of.culprits[broken] = rest{setbacks: 1}
	late = p.job(lab, nil)
	p.must(of.round(t.Context()))
	p.want(plague.JobNeedSign, late)
	if r := of.culprits[broken]; r.setbacks != 2 || time.Until(r.until) < firstRest {
		t.Errorf("the culprit was tried %d times and waits until %s", r.setbacks, r.until)
	}
	p.s.Options.Publish = time.Nanosecond
	p.must(of.round(t.Context()))
	if state, why := p.state(broken); state != plague.JobFailed || !strings.Contains(why, "createrepo_c") {
		t.Errorf("the culprit is %s (%s)", state, why)
	}
}

// maker is createrepo_c in a mood.
type maker func(ctx context.Context, in repo.MakeInput) error

func (m maker) Make(ctx context.Context, in repo.MakeInput) error {
	if err := m(ctx, in); err != nil {
		return err
	}
	return repo.Plain{}.Make(ctx, in)
}

// While nothing can be built at all, few tries are made, and afterwards all
// jobs are published.
func TestNothingCanBeBuilt(t *testing.T) {
	tries, away := 0, true
	p := newPress(t, maker(func(context.Context, repo.MakeInput) error {
		if tries++; away {
			return errors.New("the disk is full")
		}
		return nil
	}))
	var uids []plague.JobID
	for range 40 {
		uids = append(uids, p.job(lab, nil))
	}
	of := p.publisher()
	for range 10 {
		p.must(of.round(t.Context()))
	}
	if tries == 0 || tries > 12 || !time.Now().Before(of.resting.until) {
		t.Errorf("%d tries, and a rest until %s", tries, of.resting.until)
	}
	away, of.resting.until = false, time.Time{}
	for uid := range of.culprits {
		of.culprits[uid] = rest{setbacks: 1}
	}
	p.must(of.round(t.Context()))
	p.want(plague.JobNeedSign, uids...)
	if of.resting.setbacks != 0 {
		t.Errorf("it has still %d setbacks", of.resting.setbacks)
	}
}

// Jobs that cannot be published, tried however often, hold up no new one.
func TestOldCulprits(t *testing.T) {
	tries := 0
	p := newPress(t, maker(func(_ context.Context, in repo.MakeInput) error {
		tries++
		if slices.ContainsFunc(in.Packages, func(rpm repo.Package) bool { return rpm.Job <= 8 }) {
			return errors.New("it cannot be parsed")
		}
		return nil
	}))
	of := p.publisher()
	for range 8 {
		p.job(lab, nil)
		p.must(of.round(t.Context()))
	}
	for range 5 {
		for uid, r := range of.culprits {
			of.culprits[uid] = rest{setbacks: r.setbacks, why: r.why}
		}
		before := tries
		late := p.job(lab, nil)
		p.must(of.round(t.Context()))
		p.want(plague.JobNeedSign, late)
		if n := tries - before; n < 4 || n > 20 {
			t.Errorf("%d tries in a round", n)
		}
	}
	for uid, r := range of.culprits {
		if r.setbacks != 6 || !time.Now().Before(r.until) {
			t.Errorf("job %d: %d setbacks, waits until %s", uid, r.setbacks, r.until)
		}
	}
	if len(of.culprits) != 8 {
		t.Errorf("%d culprits", len(of.culprits))
	}
}

// Any jobs of a batch may be broken: the others are published.
func TestAnyBrokenRPMs(t *testing.T) {
	for broken := range 1 << 3 {
		p := newPress(t, maker(func(_ context.Context, in repo.MakeInput) error {
			if slices.ContainsFunc(in.Packages, func(rpm repo.Package) bool { return broken>>(rpm.Job-1)&1 == 1 }) {
				return errors.New("it cannot be parsed")
			}
			return nil
		}))
		for range 3 {
			p.job(lab, nil)
		}
		of := p.publisher()
		p.must(of.round(t.Context()))
		of.resting.until = time.Time{} // more than two in a row look like trouble of the target's
		p.must(of.round(t.Context()))
		for uid := range plague.JobID(3) {
			want := plague.JobNeedSign
			if broken>>uid&1 == 1 {
				want = plague.JobAddToRepo
			}
			p.want(want, uid+1)
		}
	}
}

// Of two jobs with the same RPM one is published, also when they came together.
func TestSameNameTwice(t *testing.T) {
	p := newPress(t, repo.Plain{})
	first, second := p.jobOf(lab, "p", "shared", nil), p.jobOf(lab, "q", "shared", nil)
	of := p.publisher()
	for range 2 {
		p.must(of.round(t.Context()))
	}
	p.want(plague.JobNeedSign, first)
	if state, why := p.state(second); state != plague.JobFailed || !strings.Contains(why, "it belongs to p (job 1)") {
		t.Errorf("the second is %s (%s)", state, why)
	}
}

// A target whose repository hangs holds up no other.
func TestSlowTarget(t *testing.T) {
	begun, free := make(chan struct{}), make(chan struct{})
	p := newPress(t, maker(func(ctx context.Context, in repo.MakeInput) error {
		if !strings.Contains(in.Dir, lab) {
			return nil
		}
		close(begun)
		select {
		case <-free:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	p.s.catalogue.set(append(p.s.Offered(), plague.Target{Distro: "lab", Target: "12", Repo: "core", BaseArches: []string{"x86_64"}}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return p.s.publishing(ctx, p.term) })
	slow := p.job(lab, nil)
	<-begun
	for range 2 { // rounds, not one that had begun already
		p.reaches(ctx, plague.JobNeedSign, p.job("lab-12-core", nil))
	}
	p.want(plague.JobAddToRepo, slow)
	close(free)
	p.reaches(ctx, plague.JobNeedSign, slow)
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// reaches waits until jobs are in a state.
func (p *press) reaches(ctx context.Context, want plague.JobState, uids ...plague.JobID) {
	p.t.Helper()
	w := p.s.DB.Subscribe(store.TopicEvents)
	defer w.Close()
	for _, uid := range uids {
		for {
			if state, _ := p.state(uid); state == want {
				break
			}
			if !store.Wait(ctx, w.C, time.Second) {
				p.t.Fatalf("job %d is not %s", uid, want)
			}
		}
	}
}
