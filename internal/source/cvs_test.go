package source

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"plague"
	"plague/internal/source/sourcetest"
)

// newCVS makes a repository as the one of 2005: packages with their branches, and
// the module common.
func newCVS(t *testing.T) (root string, conf Config) {
	t.Helper()
	need(t, "cvs", "setpriv", "prlimit")
	if os.Getuid() != 0 {
		t.Skip("a CVS server that becomes another user needs root")
	}
	root = filepath.Join(open(t), "cvs")
	command(t, "", "cvs", "-d", root, "init")
	work := t.TempDir()
	write(t, work, map[string]string{
		"tree/Makefile": "first\n", "tree/devel/tree.spec": "Name: tree\n", "tree/devel/run.sh": "#!/bin/sh\n", "tree/FC-4/tree.spec": "Name: tree\nVersion: 4\n",
		"common/Makefile.common": "srpm:\n", "whole/common/own": "own\n", "whole/devel/x": "x\n",
	})
	for _, module := range []string{"tree", "common", "whole"} {
		command(t, filepath.Join(work, module), "cvs", "-Q", "-d", root, "import", "-m", "x", module, "vendor", "start")
	}
	out := t.TempDir()
	command(t, out, "cvs", "-Q", "-d", root, "checkout", "tree", "whole")
	command(t, out, "cvs", "-Q", "-d", root, "tag", "tree-1_0-1")
	write(t, out, map[string]string{"tree/Makefile": "second\n"})
	command(t, out, "cvs", "-Q", "-d", root, "commit", "-m", "y", "tree")
	// who reads may write nothing but locks, as on an anonymous mirror
	locks := filepath.Join(open(t), "locks")
	if err := errors.Join(os.Mkdir(locks, 0o777), os.Chmod(locks, 0o777)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "CVSROOT"), map[string]string{"readers": "anonymous\n", "passwd": "anonymous::nobody\n", "config": "LockDir=" + locks + "\n"})
	address := sourcetest.Serve(t, "cvs", "-f", "--allow-root="+root, "pserver")
	return root, Config{Kind: CVS, CVSRoot: ":pserver:anonymous@" + address + root, Common: "common", Branch: "devel"}
}

func TestCVS(t *testing.T) {
	root, conf := newCVS(t)
	want := map[string]string{"Makefile": "first\n", "devel/tree.spec": "Name: tree\n", "devel/run.sh": "#!/bin/sh\n",
		"FC-4/tree.spec": "Name: tree\nVersion: 4\n", "common/Makefile.common": "srpm:\n"}
	r := good(t, conf, "tree", "tree-1_0-1")
	if !maps.Equal(r.files, want) {
		t.Errorf("got %q", r.files)
	}
	if r.pinned != (plague.Pinned{Kind: "cvs", URL: conf.CVSRoot, Revision: "tree-1_0-1", Tree: r.pinned.Tree}) {
		t.Errorf("got %+v", r.pinned)
	}
	head := good(t, conf, "tree", "HEAD")
	if head.files["Makefile"] != "second\n" || head.pinned.Tree == r.pinned.Tree {
		t.Errorf("HEAD is %q", head.files)
	}
	if got := good(t, conf, "whole", "tree-1_0-1").files; !maps.Equal(got, map[string]string{"common/own": "own\n", "devel/x": "x\n"}) {
		t.Errorf("a module with common of its own has %q", got)
	}
	refused(t, get(t, conf, "tree", "tree-9_9-9"), plague.ErrNotFound, `no tag "tree-9_9-9"`)
	refused(t, get(t, conf, "nothing", "HEAD"), plague.ErrNotFound, `"nothing"`)
	refused(t, get(t, conf, "tree", "tree-1.0"), plague.ErrInvalid, "none that CVS has")
	conf.Common = "uncommon"
	refused(t, get(t, conf, "tree", "tree-1_0-1"), plague.ErrNotFound, `"uncommon"`)
	conf.Limits = Limits{Files: 2}
	refused(t, get(t, conf, "tree", "tree-1_0-1"), plague.ErrInvalid, "larger than is allowed")
	if left, err := filepath.Glob(filepath.Join(root, "*", "#cvs.*")); err != nil || len(left) > 0 {
		t.Errorf("the repository holds %q", left)
	}
}

// CVS_RSH runs one program, with no shell in between.
func TestCVSRSH(t *testing.T) {
	root, conf := newCVS(t)
	said := filepath.Join(open(t), "said")
	write(t, filepath.Dir(said), map[string]string{"said": "", "rsh": "#!/bin/sh\nexec 3>" + said + `
echo "$@" >&3
{ id -u; id -G; grep NoNewPrivs /proc/self/status; ulimit -c; ulimit -f; pwd; env; } >&3
touch "$HOME/x" 2>/dev/null && echo "its home can be written" >&3
exec cvs server
`})
	if err := os.Chmod(said, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PLAGUE_SECRET", "1")
	conf.Limits.Bytes = 1 << 20
	conf.CVSRoot, conf.CVSRSH = ":ext:me@cvs.example.org:"+root, filepath.Join(filepath.Dir(said), "rsh")
	if got := good(t, conf, "tree", "tree-1_0-1").files["Makefile"]; got != "first\n" {
		t.Errorf("got %q", got)
	}
	data, err := os.ReadFile(said)
	lines := strings.Split(string(data), "\n")
	if err != nil || len(lines) < 8 || !strings.HasSuffix(lines[0], " cvs.example.org cvs server") {
		t.Fatalf("it was called with %q, %v", lines, err)
	}
	want := []string{strconv.Itoa(fetcher), strconv.Itoa(fetcher), "NoNewPrivs:\t1", "0", strconv.Itoa(1 << 20 / 512)}
	if !slices.Equal(lines[1:6], want) || strings.Contains(string(data), "SECRET") || strings.Contains(string(data), "can be written") {
		t.Errorf("it runs in\n%s", data)
	}
}

func TestCVSTrouble(t *testing.T) {
	need(t, "cvs")
	r := get(t, Config{Kind: CVS, CVSRoot: ":pserver:anonymous@127.0.0.1:1/cvs"}, "tree", "v1")
	if r.err == nil || Failure(r.err, plague.PhaseDownloading).Kind != plague.FailureInfrastructure {
		t.Errorf("got %v", r.err)
	}
}
