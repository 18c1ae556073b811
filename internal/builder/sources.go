package builder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/sandbox"
	"plague/internal/source"
)

// Sourcer makes the source package of what an SCM has under a tag, and leaves it in
// the folder out. The error is that of ctx if it has ended, or the farm's trouble;
// what the packager has to mend is the result's Failure. phase is called with each
// plague.Phase that begins.
type Sourcer interface {
	SRPM(ctx context.Context, w plague.Work, spec buildroot.Spec, log buildroot.Log, out string, phase func(string)) (*plague.Pinned, buildroot.Result, error)
}

// Sources is the real one: what fetches runs nothing of the package, and what runs
// the package's code has no network (docs/adr/0008-sources.md).
type Sources struct {
	Native  *buildroot.Native
	Sandbox sandbox.Sandbox
}

// SRPM implements Sourcer.
func (s Sources) SRPM(ctx context.Context, w plague.Work, spec buildroot.Spec, log buildroot.Log, out string, phase func(string)) (*plague.Pinned, buildroot.Result, error) {
	at := plague.PhaseDownloading
	step := func(p plague.Phase) { at = p; phase(string(p)) }
	pinned, err := s.make(ctx, w, spec, log, out, step)
	res := buildroot.Result{Phase: string(at)}
	if ctx.Err() != nil {
		return pinned, res, context.Cause(ctx)
	}
	if err != nil {
		res.Failure = source.Failure(err, at)
	}
	return pinned, res, nil
}

func (s Sources) make(ctx context.Context, w plague.Work, spec buildroot.Spec, log buildroot.Log, out string, step func(plague.Phase)) (pinned *plague.Pinned, err error) {
	if w.SCM == nil {
		return nil, errors.New("the orders do not say where the sources are")
	}
	plan, err := source.ConfigOf(*w.SCM).Plan(source.Request{Package: w.Package, Tag: w.Tag})
	if err != nil {
		return nil, err
	}
	step(plague.PhasePrepping)
	base, err := s.Native.Base(ctx, spec, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, base.Release()) }()
	step(plague.PhaseDownloading)
	tree := filepath.Join(base.Dir, "tree")
	fetcher := source.Fetcher{Work: filepath.Join(base.Dir, "scm"), UID: spec.FetchUID, GID: spec.FetchGID, Log: log.Job}
	got, err := fetcher.Fetch(ctx, plan, tree)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(log.Job, "%s %s is %s at revision %s, its tree %s\n", w.Package, w.Tag, got.URL, got.Revision, got.Tree)
	step(plague.PhaseBuilding)
	maker := source.Maker{
		Sandbox: s.Sandbox, Layers: base.Layers, Work: filepath.Join(base.Dir, "pack"), UID: spec.UID, GID: spec.GID,
		FetchUID: spec.FetchUID, FetchGID: spec.FetchGID, Macros: spec.Macros, Log: log.Build,
	}
	made, err := maker.SRPM(ctx, plan, tree, out)
	if err != nil {
		return &got, err
	}
	fmt.Fprintf(log.Job, "made %s\n", made.Name)
	return &got, nil
}
