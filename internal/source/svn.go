package source

import (
	"context"
	"path/filepath"
	"strings"

	"plague"
)

// svnCall is a call of Subversion without questions, stored passwords and the
// configuration of whoever runs it.
func (f *fetch) svnCall(command string, args ...string) call {
	all := []string{"svn", command, "--non-interactive", "--no-auth-cache", "--config-dir", filepath.Join(f.home, "svn"),
		"--config-option", "servers:global:http-timeout=60"}
	return call{args: append(all, args...), said: &tail{}}
}

// svn exports one revision.
func (f *fetch) svn(ctx context.Context) (string, error) {
	revision := f.plan.revision
	if revision == "" {
		c := f.svnCall("info", "--show-item", "revision", "--", f.plan.URL+"@HEAD")
		c.out = text(&revision, 1000)
		if err := f.svnRun(ctx, c); err != nil {
			return "", err
		}
		if revision = strings.TrimSpace(revision); !svnRev.MatchString(revision) {
			return "", refuse("Subversion names %q as a revision", revision, "look at its server")
		}
	}
	url := f.plan.URL + "@" + revision
	var externals string
	c := f.svnCall("propget", "--recursive", "-r", revision, "--", "svn:externals", url)
	c.out = text(&externals, maxList)
	if err := f.svnRun(ctx, c); err != nil {
		return "", err
	}
	if externals = strings.TrimSpace(externals); externals != "" {
		return "", refuse("the package has externals: %q", externals, "put their files into the package's folder, or a tar file of them into the lookaside")
	}
	const export = "export"
	if err := f.svnRun(ctx, f.svnCall("export", "--quiet", "--ignore-externals", "-r", revision, "--", url, filepath.Join(f.scm, export))); err != nil {
		return "", err
	}
	from, err := f.brought(export)
	if err != nil {
		return "", refuse("%q is no folder at that revision", f.plan.URL, "let package and tag name a folder")
	}
	defer from.Close()
	return revision, f.tree.copyFrom(from, "", "")
}

// svnRun tells a package or tag that is not there from a server that does not answer.
func (f *fetch) svnRun(ctx context.Context, c call) error {
	err := f.run(ctx, c)
	if err != nil && c.said.has("E170000", "W170000", "E160013", "W160013", "E200009", "E160006", "E150000") {
		return plague.Refuse(plague.ErrNotFound, f.plan.URL+" does not exist at that revision", "look at the spelling of package and tag")
	}
	return err
}
