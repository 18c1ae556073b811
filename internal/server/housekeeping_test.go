package server

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/repo"
	"plague/internal/store"

	"golang.org/x/sync/errgroup"
)

// add puts an artifact into the store, written so long ago.
func (p *press) add(content []byte, ago time.Duration) artifact.Digest {
	p.t.Helper()
	d, _, err := p.s.Artifacts.Add(p.t.Context(), bytes.NewReader(content), 1<<20)
	p.must(err)
	then := time.Now().Add(-ago)
	p.must(os.Chtimes(p.s.Artifacts.Path(d), then, then))
	return d
}

func (p *press) wantThere(what string, d artifact.Digest, want bool) {
	p.t.Helper()
	if got := p.s.Artifacts.Has(d); got != want {
		p.t.Errorf("%s is there: %v", what, got)
	}
}

// What nothing names goes, a day old and an hour after this was found; what a
// job, an upload or a repository names stays, however old it is.
func TestUnnamedArtifacts(t *testing.T) {
	p := newPress(t, repo.Plain{})
	ctx, now := t.Context(), time.Now()
	const old = 1000 * time.Hour
	loose, young, up := p.add([]byte("loose"), 25*time.Hour), p.add([]byte("young"), time.Hour), p.add([]byte("uploaded"), old)
	p.must(p.s.DB.AddUpload(ctx, now, "ann@farm", up.String(), 8))
	result := p.add([]byte("result"), old)
	p.job(lab, []byte("result"))
	published := p.add([]byte("published"), old)
	uid := p.jobOf(lab, "q", "q", []byte("published"))
	p.must(p.publisher().round(ctx))
	p.want(plague.JobNeedSign, uid)

	p.must(p.s.condemn(ctx, p.term, now))
	p.must(p.s.sweep(ctx, p.term, now.Add(notice)))
	p.wantThere("loose within its notice", loose, true)
	p.must(p.s.sweep(ctx, p.term, now.Add(notice+time.Second)))
	for what, d := range map[string]artifact.Digest{"young": young, "uploaded": up, "result": result, "published": published} {
		p.wantThere(what, d, true)
	}
	p.wantThere("loose", loose, false)

	p.must(p.s.dropUploads(ctx, p.term, now.Add(25*time.Hour)))
	p.must(p.s.sweep(ctx, p.term, now.Add(27*time.Hour)))
	p.wantThere("uploaded", up, false)
}

// Who leads no more deletes nothing; who leads now ends what was begun.
func TestOldLeaderKeepsNoHouse(t *testing.T) {
	p := newPress(t, repo.Plain{})
	ctx, now := t.Context(), time.Now()
	begun := p.add([]byte("begun"), 30*time.Hour)
	p.must(p.s.condemn(ctx, p.term, now.Add(-2*notice)))
	_, err := p.s.DB.Deleting(ctx, p.term, now, 10) // and there it dies
	p.must(err)
	p.must(p.s.DB.AddUpload(ctx, now.Add(-2*uploadLife), "ann@farm", fmt.Sprintf("%064x", 1), 1))
	old := p.term
	p.term, err = p.s.DB.Acquire(ctx, "there", time.Minute)
	p.must(err)
	for name, act := range map[string]func() error{
		"sweep":       func() error { return p.s.sweep(ctx, old, now) },
		"dropUploads": func() error { return p.s.dropUploads(ctx, old, now) },
		"retain":      func() error { return p.s.retainTarget(ctx, old, lab, now) },
		"house":       func() error { return p.s.housekeeping(ctx, old) },
	} {
		if err := act(); !errors.Is(err, store.ErrNotLeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.wantThere("what was begun", begun, true)
	p.must(p.s.keepHouse(ctx, p.term, 0))
	p.wantThere("what was begun", begun, false)
}

// An upload of what is being deleted in the same moment is refused, or there.
func TestSweepAgainstUpload(t *testing.T) {
	p := newPress(t, repo.Plain{})
	p.user("ann@farm")
	refused := 0
	for i := range 60 {
		file := srpm(fmt.Sprint("p", i))
		d := p.add(file, 25*time.Hour)
		now := time.Now()
		p.must(p.s.condemn(t.Context(), p.term, now))
		var g errgroup.Group
		begin, status := make(chan struct{}), 0
		g.Go(func() error {
			<-begin
			status = p.put(d, file)
			return nil
		})
		g.Go(func() error {
			<-begin
			return p.s.sweep(t.Context(), p.term, now.Add(notice+time.Second))
		})
		close(begin)
		p.must(g.Wait())
		if status == http.StatusServiceUnavailable {
			refused++
			status = p.put(d, file)
		}
		if status != http.StatusCreated {
			t.Fatalf("round %d: status %d", i, status)
		}
		p.wantThere("the upload", d, true)
	}
	t.Logf("%d of 60 were refused at first", refused)
}
