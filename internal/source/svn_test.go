package source

import (
	"maps"
	"path/filepath"
	"testing"

	"plague"
	"plague/internal/source/sourcetest"
)

// newSVN makes a repository with a package in the usual folders; work is where
// its next revision is made.
func newSVN(t *testing.T) (work string, conf Config) {
	t.Helper()
	need(t, "svn", "svnadmin", "svnserve", "setpriv", "prlimit")
	base := open(t)
	command(t, base, "svnadmin", "create", "repo")
	url := "file://" + base + "/repo"
	work = filepath.Join(t.TempDir(), "work")
	command(t, "", "svn", "mkdir", "-q", "--parents", "-m", "x", url+"/tree/trunk", url+"/tree/tags", url+"/tree/branches")
	command(t, "", "svn", "checkout", "-q", url+"/tree", work)
	write(t, work, map[string]string{"trunk/tree.spec": "Name: tree\n", "trunk/a/run.sh": "#!/bin/sh\n", "trunk/link": "->tree.spec"})
	command(t, work, "svn", "add", "-q", "trunk/tree.spec", "trunk/a", "trunk/link")
	command(t, work, "svn", "commit", "-q", "-m", "x") // 2
	command(t, work, "svn", "copy", "-q", "-m", "x", url+"/tree/trunk", url+"/tree/tags/v1")
	command(t, work, "svn", "update", "-q")
	return work, Config{Kind: SVN, URL: "svn://" + sourcetest.Serve(t, "svnserve", "-i", "-r", base) + "/repo", Layout: Plain}
}

func TestSVN(t *testing.T) {
	work, conf := newSVN(t)
	files := map[string]string{"tree.spec": "Name: tree\n", "a/run.sh": "#!/bin/sh\n", "link": "->tree.spec"}
	write(t, work, map[string]string{"trunk/tree.spec": "Name: tree\nVersion: 2\n"})
	command(t, work, "svn", "commit", "-q", "-m", "y") // 4
	later := maps.Clone(files)
	later["tree.spec"] = "Name: tree\nVersion: 2\n"
	for _, tt := range []struct {
		tag, path, revision string
		files               map[string]string
	}{
		{"v1", "/tree/tags/v1", "4", files},
		{"trunk", "/tree/trunk", "4", later},
		{"trunk@2", "/tree/trunk", "2", files},
	} {
		r := good(t, conf, "tree", tt.tag)
		if !maps.Equal(r.files, tt.files) {
			t.Errorf("%s: got %q", tt.tag, r.files)
		}
		if r.pinned != (plague.Pinned{Kind: "svn", URL: conf.URL + tt.path, Revision: tt.revision, Tree: r.pinned.Tree}) {
			t.Errorf("%s: got %+v", tt.tag, r.pinned)
		}
	}
	for pkg, tag := range map[string]string{"tree": "v9", "nothing": "trunk"} {
		refused(t, get(t, conf, pkg, tag), plague.ErrNotFound, "does not exist")
	}
	refused(t, get(t, conf, "tree", "trunk@99"), plague.ErrNotFound, "does not exist")
	refused(t, get(t, conf, "tree", "v1@1"), plague.ErrNotFound, "does not exist")
	conf.Limits = Limits{Files: 2}
	refused(t, get(t, conf, "tree", "v1"), plague.ErrInvalid, "larger than is allowed")
}

func TestSVNRefuses(t *testing.T) {
	work, conf := newSVN(t)
	write(t, work, map[string]string{"trunk/evil": "->../../../etc/passwd"})
	command(t, work, "svn", "add", "-q", "trunk/evil")
	command(t, work, "svn", "commit", "-q", "-m", "y")
	refused(t, get(t, conf, "tree", "trunk"), plague.ErrInvalid, "leads out")
	command(t, work, "svn", "rm", "-q", "--force", "trunk/evil")
	command(t, work, "svn", "propset", "-q", "svn:externals", "file:///etc etc", "trunk/a")
	command(t, work, "svn", "commit", "-q", "-m", "z")
	refused(t, get(t, conf, "tree", "trunk"), plague.ErrInvalid, "externals")
}

func TestSVNTrouble(t *testing.T) {
	need(t, "svn")
	r := get(t, Config{Kind: SVN, URL: "svn://127.0.0.1:1/repo"}, "tree", "v1")
	if r.err == nil || Failure(r.err, plague.PhaseDownloading).Kind != plague.FailureInfrastructure {
		t.Errorf("got %v", r.err)
	}
}

// A tag that is no folder but a link is not followed to a folder of the machine: what is
// there would become the package's sources.
func TestSVNTagIsALink(t *testing.T) {
	work, conf := newSVN(t)
	foreign := t.TempDir()
	write(t, foreign, map[string]string{"secret": "s"})
	write(t, work, map[string]string{"tags/v2": "->" + foreign})
	command(t, work, "svn", "add", "-q", "tags/v2")
	command(t, work, "svn", "commit", "-q", "-m", "y")
	refused(t, get(t, conf, "tree", "v2"), plague.ErrInvalid, "no folder")
}
