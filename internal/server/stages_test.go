package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"plague"
	"plague/internal/repo"
	"plague/internal/rpm"
	"plague/internal/store"

	"golang.org/x/sync/errgroup"
)

// Jobs that cannot be prepared, however many, hold up nobody behind them,
// and all of them fail when their time is over.
func TestStuckInPrep(t *testing.T) {
	p := newPress(t, repo.Plain{})
	p.s.catalogue.set(append(p.s.Offered(), plague.Target{Distro: "lab", Target: "12", Repo: "stuck", BaseArches: []string{"x86_64"},
		Base: []plague.BaseRepo{{ID: "away", URL: "file://" + t.TempDir()}}}))
	stuck := p.inPrep("lab-12-stuck", batch+batch/4)
	free := p.inPrep(lab, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return p.s.stages(ctx, p.term) })
	p.reaches(ctx, plague.JobBuilding, free...)
	p.want(plague.JobPrep, stuck...)
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.s.Options.Prep = 0
	for prep := (stage{of: plague.JobPrep, do: p.s.prep}); ; {
		_, err := p.s.walk(t.Context(), p.term, &prep)
		p.must(err)
		if prep.page == 0 {
			break
		}
	}
	p.want(plague.JobFailed, stuck...)
}

// TestStagesAreFair: thousands of jobs of one user that wait to be prepared do not
// hold up another's single one.
func TestStagesAreFair(t *testing.T) {
	p := newPress(t, repo.Plain{})
	p.must(p.s.DB.SetPaused(t.Context(), time.Now(), "root", true))
	many := p.waiting("ann@farm", lab, 10*batch)
	single := p.waiting("bob@farm", lab, 1)
	p.must(p.s.DB.SetPaused(t.Context(), time.Now(), "root", false))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return p.s.stages(ctx, p.term) })
	p.reaches(ctx, plague.JobBuilding, single...)
	counts, err := p.s.DB.Counts(t.Context())
	p.must(err)
	if before := counts[plague.JobBuilding] - 1; before > 3*batch {
		t.Errorf("%d jobs of somebody who asked for %d were prepared before it", before, len(many))
	}
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// inPrep brings jobs with one SRPM to prep.
func (p *press) inPrep(target string, n int) []plague.JobID {
	p.t.Helper()
	uids := p.waiting("ann@farm", target, n)
	_, err := p.s.DB.Begin(p.t.Context(), p.term, time.Now(), uids)
	p.must(err)
	return uids
}

// waiting submits jobs with one SRPM.
func (p *press) waiting(user, target string, n int) []plague.JobID {
	p.t.Helper()
	ctx, now, db := p.t.Context(), time.Now(), p.s.DB
	srpm := rpm.Blank{NEVRA: rpm.NEVRA{Name: "p", EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: "src"}}
	digest, size, err := p.s.Artifacts.Add(ctx, bytes.NewReader(srpm.Bytes()), 1<<20)
	p.must(err)
	p.must(db.AddUpload(ctx, now, user, digest.String(), size))
	var uids []plague.JobID
	for i := range n {
		uid, err := db.Submit(ctx, now, store.NewJob{User: user, Package: fmt.Sprint(user[:3], i), SRPM: digest.String(), SRPMSize: size,
			Target: target, Epoch: "0", Version: "1", Release: "1"})
		p.must(err)
		uids = append(uids, uid)
	}
	return uids
}
