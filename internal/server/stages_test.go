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
	p.s.Targets = append(p.s.Targets, plague.Target{Distro: "lab", Target: "12", Repo: "stuck", BaseArches: []string{"x86_64"},
		Base: []plague.BaseRepo{{ID: "away", URL: "file://" + t.TempDir()}}})
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

// inPrep brings jobs with one SRPM to prep.
func (p *press) inPrep(target string, n int) []plague.JobID {
	p.t.Helper()
	ctx, now, db := p.t.Context(), time.Now(), p.s.DB
	srpm := rpm.Blank{NEVRA: rpm.NEVRA{Name: "p", EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: "src"}}
	digest, size, err := p.s.Artifacts.Add(ctx, bytes.NewReader(srpm.Bytes()), 1<<20)
	p.must(err)
	p.must(db.AddUpload(ctx, now, "ann@farm", digest.String(), size))
	var uids []plague.JobID
	for i := range n {
		uid, err := db.Submit(ctx, now, store.NewJob{User: "ann@farm", Package: fmt.Sprint("p", i), SRPM: digest.String(), SRPMSize: size,
			Target: target, Epoch: "0", Version: "1", Release: "1"})
		p.must(err)
		uids = append(uids, uid)
	}
	_, err = db.Begin(ctx, p.term, now, uids)
	p.must(err)
	return uids
}
