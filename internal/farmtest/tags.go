package farmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/rpm"
	"plague/internal/wire"
)

// The SCM of this world: source packages by package and tag. What is not there when it
// is first named, src nil, never comes.

func (w *World) setTag(pkg, tag string, src *rpm.Blank) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.tags[pkg+" "+tag]; !there {
		w.tags[pkg+" "+tag] = src
	}
}

func (w *World) tagged(pkg, tag string) (rpm.Blank, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	src := w.tags[pkg+" "+tag]
	if src == nil {
		return rpm.Blank{}, false
	}
	return *src, true
}

// Tag submits a job that names a tag, trying again where the network or the server
// is at fault: what the first try began may come twice.
func (p *Person) Tag(ctx context.Context, s wire.Submission) (plague.JobID, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		out, err := p.Submit(ctx, s)
		if err == nil || refused(err) {
			return out.UID, err
		}
		if wait := pause(ctx, retryAfter); wait != nil {
			return 0, errors.Join(wait, err)
		}
	}
}

// SRPM makes the source package of a tag.
func (b *backend) SRPM(ctx context.Context, w plague.Work, s buildroot.Spec, log buildroot.Log, out string, phase func(string)) (*plague.Pinned, buildroot.Result, error) {
	res := buildroot.Result{Phase: "downloading"}
	phase(res.Phase)
	src, there := b.w.tagged(w.Package, w.Tag)
	r, _ := b.w.recipe(src.NVR())
	if err := pause(ctx, r.Prepping); err != nil {
		return nil, res, err
	}
	if spoiled(s.ID, r) {
		return nil, res, errMirror
	}
	if !there {
		res.Failure = &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseDownloading, Message: fmt.Sprintf("no tag %q", w.Tag)}
		return nil, res, nil
	}
	pinned := &plague.Pinned{Kind: w.SCM.Kind, URL: w.SCM.URL, Revision: w.Tag, Tree: sha(src.Bytes())}
	res.Phase = "building"
	phase(res.Phase)
	fmt.Fprintf(log.Build, "attempt %s: line 0\n", s.ID)
	if err := pause(ctx, r.Prepping/2); err != nil {
		return pinned, res, err
	}
	if b.lies && hash(s.ID)%3 == 0 && !b.w.settled() {
		b.w.lied(archJobOf(s.ID))
		src.Name = "other"
	}
	if !b.power.On() {
		return pinned, res, errors.New("the power is off")
	}
	return pinned, res, os.WriteFile(filepath.Join(out, src.NVR()+".src.rpm"), src.Bytes(), 0o644)
}

// versioned fills in what a tag's job has not come to know of its own source.
func (a *audit) versioned(j plague.Job) plague.Job {
	if src, there := a.tagged(j.Package, j.Source); there && j.Version == "" {
		j.Epoch, j.Version, j.Release = fmt.Sprint(src.Epoch), src.Version, src.Release
	}
	return j
}

// untagged says whether a job names a tag that is not there.
func (a *audit) untagged(j plague.Job) bool {
	_, there := a.tagged(j.Package, j.Source)
	return !there && !strings.HasSuffix(j.Source, ".src.rpm")
}
