package source

import (
	"context"
	"errors"
	"io/fs"
)

// cvsCall is a call of CVS with the target's root, and nobody's .cvsrc.
func (f *fetch) cvsCall(args ...string) call {
	env := []string{"CVS_PASSFILE=/dev/null"} // pserver asks for an empty password then
	if f.plan.cfg.CVSRSH != "" {
		env = append(env, "CVS_RSH="+f.plan.cfg.CVSRSH)
	}
	return call{args: append([]string{"cvs", "-f", "-Q", "-d", f.plan.URL}, args...), env: env}
}

// cvs checks a package out, and the common module if it did not come along, as
// the build system of 2005 did. CVS has neither links nor hooks for its clients.
func (f *fetch) cvs(ctx context.Context) (string, error) {
	if err := f.cvsModule(ctx, f.plan.Package, "", "-r", f.plan.Tag); err != nil {
		return "", err
	}
	common := f.plan.cfg.Common
	if common == "" {
		return f.plan.Tag, nil
	}
	if _, err := f.tree.root.Lstat(common); !errors.Is(err, fs.ErrNotExist) {
		return f.plan.Tag, err
	}
	return f.plan.Tag, f.cvsModule(ctx, common, common)
}

// cvsModule checks a module out and takes it into the folder into of the tree.
func (f *fetch) cvsModule(ctx context.Context, module, into string, options ...string) error {
	said := &tail{}
	c := f.cvsCall(append(append([]string{"checkout", "-P"}, options...), "--", module)...)
	c.said = said
	if err := f.run(ctx, c); err != nil {
		switch {
		case said.has("no such tag"):
			return f.plan.absent("tag", f.plan.Tag)
		case said.has("cannot find module", "no such directory"):
			return f.plan.absent("module", module)
		case said.has("tag `", "Tag `"): // cvs names a tag that it cannot have
			return refuse("the tag %q is none that CVS has", f.plan.Tag, "CVS tags begin with a letter and have letters, digits, - and _")
		}
		return err
	}
	from, err := f.brought(module)
	if err != nil {
		return f.plan.absent("files with this tag in the module", module)
	}
	defer from.Close()
	return f.tree.copyFrom(from, into, "CVS")
}
