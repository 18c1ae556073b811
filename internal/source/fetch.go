package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"plague"
)

// A Fetcher brings sources from servers. Programs that speak with one run as a
// user of their own who may do nothing else, and nothing that they bring is run.
type Fetcher struct {
	Work     string    // a folder of this run: made anew, in one that the user can pass through, and removed
	UID, GID int       // of the user who fetches; below 1: this process
	Log      io.Writer // what is run and what it says; default: nowhere
}

// fetch is one run of a Fetcher.
type fetch struct {
	Fetcher
	plan Plan
	home string // what the programs may read and not change
	scm  string // what they write
	tree *tree
}

// Fetch writes the package's tree, with what sources lists from the lookaside,
// into the new folder dir: files and folders of this process, and symbolic links
// that stay inside. Errors that the packager has to mend are plague.ErrInvalid or
// plague.ErrNotFound (see Failure); after any, dir is gone.
func (f Fetcher) Fetch(ctx context.Context, p Plan, dir string) (plague.Pinned, error) {
	if p.Package == "" {
		return plague.Pinned{}, errors.New("fetch sources: a plan that was never made")
	}
	p.cfg.Limits = p.cfg.Limits.withDefaults()
	if f.Log == nil {
		f.Log = io.Discard
	}
	r := &fetch{Fetcher: f, plan: p, home: filepath.Join(f.Work, "home"), scm: filepath.Join(f.Work, "scm")}
	pinned, err := r.all(ctx, dir)
	if err != nil && r.tree != nil { // what it has not made is somebody else's
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return plague.Pinned{}, fmt.Errorf("fetch %s %s: %w", p.Package, p.Tag, err)
	}
	return pinned, nil
}

func (f *fetch) all(ctx context.Context, dir string) (plague.Pinned, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.plan.cfg.Limits.Time,
		plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("the sources did not come within %s", f.plan.cfg.Limits.Time), "look at their server, or build from a smaller repository"))
	defer cancel()
	for _, d := range []string{f.Work, f.home} {
		if err := f.mkdir(d, true); err != nil {
			return plague.Pinned{}, err
		}
	}
	defer os.RemoveAll(f.Work)
	if err := f.mkdir(f.scm, false); err != nil {
		return plague.Pinned{}, err
	}
	tree, err := newTree(dir, f.plan.cfg.Limits)
	if err != nil {
		return plague.Pinned{}, err
	}
	f.tree = tree
	defer f.tree.root.Close()
	watched, stop := watch(ctx, f.plan.cfg.Limits.Bytes, f.scm)
	defer stop()
	revision, err := f.checkout(watched)
	if err == nil {
		err = f.lookaside(watched)
	}
	if err == nil {
		err = f.tree.finish()
	}
	return plague.Pinned{Kind: string(f.plan.cfg.Kind), URL: f.plan.URL, Revision: revision, Tree: f.tree.digest()}, err
}

// checkout fills the tree and tells what is in it.
func (f *fetch) checkout(ctx context.Context) (revision string, err error) {
	switch f.plan.cfg.Kind {
	case Git:
		return f.git(ctx)
	case CVS:
		return f.cvs(ctx)
	}
	return f.svn(ctx)
}

// absent says that a repository has no such package or tag.
func (p *Plan) absent(what, name string) error {
	return plague.Refuse(plague.ErrNotFound, fmt.Sprintf("%s has no %s %q", p.URL, what, name), "look at its spelling, and push it if it is new")
}
