package buildroot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Base is a buildroot without any package's own BuildRequires: what makes a
// source package has rpmbuild and make there. It is held until Release.
type Base struct {
	Layers []string // root folders, topmost first
	Dir    string   // a folder of this run; others pass through it and see nothing

	build *build
}

// Base makes a buildroot out of what spec says, but for its source package, which
// there is none of yet.
func (n *Native) Base(ctx context.Context, spec Spec, log Log) (*Base, error) {
	b := &build{Native: n, spec: spec, log: log, dir: filepath.Join(n.Work, spec.ID)}
	made := &Base{Dir: b.dir, build: b}
	begun := time.Now()
	err := b.folders()
	if err == nil {
		err = b.base(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare a base: %w", err), made.Release())
	}
	b.say("buildroot ready after %.3f s", time.Since(begun).Seconds())
	made.Layers = b.tree
	return made, nil
}

// Release ends the use of a base, and removes the folder of its run.
func (b *Base) Release() error {
	for _, l := range b.build.held {
		l.release()
	}
	return os.RemoveAll(b.Dir)
}
