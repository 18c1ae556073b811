package source

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/source/sourcetest"
)

// gitServer is git daemon over a folder of repositories, and one work tree whose
// commits are pushed there as tree.git.
type gitServer struct {
	t    *testing.T
	base string // folder of repositories
	work string
	conf Config
}

func newGit(t *testing.T) *gitServer {
	t.Helper()
	need(t, "git", "setpriv", "prlimit")
	g := &gitServer{t: t, base: open(t), work: filepath.Join(t.TempDir(), "work")}
	address := sourcetest.Serve(t, "git", "daemon", "--inetd", "--export-all", "--base-path="+g.base, g.base)
	g.conf = Config{Kind: Git, URL: "git://" + address + "/$package.git", Layout: Plain}
	command(t, "", "git", "init", "-q", "-b", "main", g.work)
	command(t, "", "git", "init", "-q", "--bare", filepath.Join(g.base, "tree.git"))
	return g
}

// commit makes a commit of these files alone, pushes it as ref and gives its id.
func (g *gitServer) commit(ref string, files map[string]string) string {
	g.t.Helper()
	command(g.t, g.work, "git", "rm", "-rqf", "--ignore-unmatch", ".")
	write(g.t, g.work, files)
	command(g.t, g.work, "git", "add", "-A", "-f", ".")
	return g.push(ref)
}

func (g *gitServer) push(ref string) string {
	g.t.Helper()
	command(g.t, g.work, "git", "commit", "-q", "--allow-empty", "-m", "x")
	command(g.t, g.work, "git", "push", "-q", "-f", filepath.Join(g.base, "tree.git"), "HEAD:"+ref)
	return strings.TrimSpace(command(g.t, g.work, "git", "rev-parse", "HEAD"))
}

func TestGit(t *testing.T) {
	g := newGit(t)
	files := map[string]string{"tree.spec": "Name: tree\n", "a/b.sh": "#!/bin/sh\n", "a/link": "->../tree.spec", "dangling": "->nothing",
		// attributes that would change what a checkout or an archive writes
		".gitattributes": "*.txt eol=crlf ident\nsecret export-ignore\n*.dat filter=evil\n", "x.txt": "$Id$\nline\n", "secret": "here", "x.dat": "data"}
	first := g.commit("refs/tags/v1", files)
	command(t, g.work, "git", "tag", "-a", "-m", "annotated", "v1-annotated")
	command(t, g.work, "git", "push", "-q", filepath.Join(g.base, "tree.git"), "v1-annotated")
	second := g.commit("refs/heads/f40/main", map[string]string{"tree.spec": "Name: tree\nVersion: 2\n"})
	for _, tt := range []struct {
		tag, id string
		files   map[string]string
	}{
		{"v1", first, files},
		{"v1-annotated", first, files},
		{"f40/main", second, map[string]string{"tree.spec": "Name: tree\nVersion: 2\n"}},
		{first, first, files}, // the parent of a branch's head
	} {
		r := good(t, g.conf, "tree", tt.tag)
		if !maps.Equal(r.files, tt.files) {
			t.Errorf("%s: got %q", tt.tag, r.files)
		}
		want := plague.Pinned{Kind: "git", URL: strings.ReplaceAll(g.conf.URL, "$package", "tree"), Revision: tt.id, Tree: r.pinned.Tree}
		if r.pinned != want || len(r.pinned.Tree) != 64 {
			t.Errorf("%s: got %+v, want %+v", tt.tag, r.pinned, want)
		}
	}
	if one, two := good(t, g.conf, "tree", "v1"), good(t, g.conf, "tree", first); one.pinned.Tree != two.pinned.Tree {
		t.Error("the same tree has two digests")
	}
}

// What a repository must not bring is refused, with a reason and a remedy.
func TestGitRefuses(t *testing.T) {
	g := newGit(t)
	spec := map[string]string{"tree.spec": "Name: tree\n"}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(spec)
		maps.Copy(all, more)
		return all
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"an absolute link":       {with(map[string]string{"x": "->/etc/passwd"}), "leads out"},
		"a link out":             {with(map[string]string{"a/x": "->../../etc"}), "leads out"},
		"a link out over a link": {with(map[string]string{"a/b/l": "->..", "x": "->a/b/l/../.."}), "leads out"},
		"links in a circle":      {with(map[string]string{"x": "->y", "y": "->x"}), "leads out"},
		"a control character":    {with(map[string]string{"a\nb": ""}), "is called"},
		"a backslash":            {with(map[string]string{`..\x`: ""}), "is called"},
		"foreign bytes":          {with(map[string]string{"a\xff": ""}), "is called"},
		"a file of LFS":          {with(map[string]string{"x.tgz": lfsMark + "v1\noid sha256:0\nsize 1\n"}), "Git LFS"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gitServer{t, g.base, g.work, g.conf}
			g.commit("refs/tags/bad", tt.files)
			refused(t, get(t, g.conf, "tree", "bad"), plague.ErrInvalid, tt.want)
		})
	}
	t.Run("a submodule", func(t *testing.T) {
		id := g.commit("refs/tags/bad", with(map[string]string{".gitmodules": "[submodule \"x\"]\n\tpath = x\n\turl = ext::id\n"}))
		command(t, g.work, "git", "update-index", "--add", "--cacheinfo", "160000,"+id+",x")
		g.push("refs/tags/bad")
		refused(t, get(t, g.conf, "tree", "bad"), plague.ErrInvalid, "submodule")
	})
	t.Run("no files", func(t *testing.T) {
		g.commit("refs/tags/bad", nil)
		refused(t, get(t, g.conf, "tree", "bad"), plague.ErrInvalid, "no files")
	})
	t.Run("a tag of no commit", func(t *testing.T) {
		g.commit("refs/tags/bad", spec)
		blob := strings.TrimSpace(command(t, g.work, "git", "rev-parse", "HEAD:tree.spec"))
		command(t, g.work, "git", "push", "-q", "-f", filepath.Join(g.base, "tree.git"), blob+":refs/tags/file")
		refused(t, get(t, g.conf, "tree", "file"), plague.ErrInvalid, "no commit")
	})
}

// git itself refuses to make some trees, so they are made by hand.
func TestGitRefusesMadeTrees(t *testing.T) {
	g := newGit(t)
	g.commit("refs/heads/main", map[string]string{"tree.spec": "x"})
	repo := filepath.Join(g.base, "tree.git")
	object := func(kind, content string) string {
		file := filepath.Join(t.TempDir(), "object")
		write(t, filepath.Dir(file), map[string]string{"object": content})
		return strings.TrimSpace(command(t, repo, "git", "hash-object", "-t", kind, "-w", "--literally", file))
	}
	raw := func(id string) string {
		var b strings.Builder
		for i := 0; i < len(id); i += 2 {
			b.WriteByte(unhex(id[i])<<4 | unhex(id[i+1]))
		}
		return b.String()
	}
	file, link := raw(object("blob", "data")), raw(object("blob", "/etc"))
	inner := raw(object("tree", "100644 passwd\x00"+file))
	for name, tt := range map[string]struct{ tree, want string }{
		"a way out":             {"40000 ..\x00" + inner, "is called"},
		"a folder of git":       {"40000 .git\x00" + inner, "is called"},
		"a folder of Git":       {"40000 .GIT\x00" + inner, "is called"},
		"a slash":               {"100644 ../x\x00" + file, "is called"},
		"a name twice":          {"100644 x\x00" + file + "100644 x\x00" + file, "twice"},
		"a link under a folder": {"120000 x\x00" + link + "40000 x\x00" + inner, "leads out"},
		"a folder and a file":   {"100644 x\x00" + file + "40000 x\x00" + inner, "one thing"},
		"a way out and deep":    {"40000 a\x00" + raw(object("tree", "40000 ..\x00"+inner)), "is called"},
	} {
		t.Run(name, func(t *testing.T) {
			commit := object("commit", "tree "+object("tree", tt.tree)+"\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx\n")
			write(t, repo, map[string]string{"refs/tags/" + strings.ReplaceAll(name, " ", "-"): commit + "\n"})
			refused(t, get(t, g.conf, "tree", strings.ReplaceAll(name, " ", "-")), plague.ErrInvalid, tt.want)
		})
	}
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func TestGitAbsent(t *testing.T) {
	g := newGit(t)
	g.commit("refs/heads/main", map[string]string{"tree.spec": "x"})
	fork := g.commit("refs/plague/hidden", map[string]string{"tree.spec": "evil"})
	refused(t, get(t, g.conf, "tree", "v9"), plague.ErrNotFound, `no tag or branch "v9"`)
	refused(t, get(t, g.conf, "nothing", "v1"), plague.ErrNotFound, "no package")
	refused(t, get(t, g.conf, "tree", strings.Repeat("0", 40)), plague.ErrNotFound, "with the commit")
	// the server has it, but nobody who may push has put it into a branch
	refused(t, get(t, g.conf, "tree", fork), plague.ErrNotFound, "with the commit")
	blob := strings.TrimSpace(command(t, g.work, "git", "rev-parse", "HEAD~1:tree.spec"))
	refused(t, get(t, g.conf, "tree", blob), plague.ErrNotFound, "with the commit")
	// a name that ls-remote's patterns would find elsewhere
	g.commit("refs/heads/x/refs/tags/v8", map[string]string{"tree.spec": "x"})
	refused(t, get(t, g.conf, "tree", "v8"), plague.ErrNotFound, "no tag or branch")
}

func TestGitLimits(t *testing.T) {
	g := newGit(t)
	g.commit("refs/tags/big", map[string]string{"a": strings.Repeat("a", 3<<20)}) // nothing when it is packed
	noise := make([]byte, 3<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	g.commit("refs/tags/noise", map[string]string{"a": string(noise)})
	g.commit("refs/tags/many", map[string]string{"a": "", "b": "", "c": "", "d": ""})
	small := g.conf
	small.Limits = Limits{Bytes: 2 << 20, Files: 3}
	refused(t, get(t, small, "tree", "big"), plague.ErrInvalid, "larger than is allowed")
	refused(t, get(t, small, "tree", "noise"), plague.ErrInvalid, "have more than 2097152 bytes")
	refused(t, get(t, small, "tree", "many"), plague.ErrInvalid, "larger than is allowed")
	small.Limits = Limits{Time: time.Nanosecond}
	refused(t, get(t, small, "tree", "many"), plague.ErrUnavailable, "within 1ns")
	good(t, g.conf, "tree", "noise")
}

// A server that takes the connection and says nothing ends with the time that is
// allowed, and a dead one is no trouble of the package's.
func TestGitTrouble(t *testing.T) {
	need(t, "git", "sleep")
	mute := Config{Kind: Git, URL: "git://" + sourcetest.Serve(t, "sleep", "60") + "/", Limits: Limits{Time: 300 * time.Millisecond}}
	refused(t, get(t, mute, "tree", "v1"), plague.ErrUnavailable, "within 300ms")
	dead := Config{Kind: Git, URL: "git://127.0.0.1:1/"}
	if r := get(t, dead, "tree", "v1"); r.err == nil || Failure(r.err, plague.PhaseDownloading).Kind != plague.FailureInfrastructure {
		t.Errorf("got %v", r.err)
	}
}

// Nothing of this machine has a say: not the user's configuration, not hooks of
// the machine's template, not a command in the environment.
func TestGitAlone(t *testing.T) {
	g := newGit(t)
	g.commit("refs/tags/v1", map[string]string{"tree.spec": "x"})
	trap := filepath.Join(open(t), "sprung")
	script := filepath.Join(filepath.Dir(trap), "trap")
	write(t, filepath.Dir(trap), map[string]string{
		"trap":   "#!/bin/sh\ntouch " + trap + "\n",
		"config": "[core]\n\tsshCommand = " + script + "\n\tfsmonitor = " + script + "\n[protocol]\n\tallow = never\n[url \"file:///\"]\n\tinsteadOf = git://\n"})
	for name, value := range map[string]string{"GIT_CONFIG_GLOBAL": filepath.Join(filepath.Dir(trap), "config"), "GIT_PROXY_COMMAND": script,
		"GIT_TEMPLATE_DIR": filepath.Dir(trap), "GIT_EXTERNAL_DIFF": script, "GIT_DIR": "/nowhere", "PLAGUE_SECRET": "1"} {
		t.Setenv(name, value)
	}
	good(t, g.conf, "tree", "v1")
	if _, err := os.Stat(trap); err == nil {
		t.Error("a program of this machine was started")
	}
}

// Addresses on this machine, where the list names them.
func TestGitFile(t *testing.T) {
	g := newGit(t)
	id := g.commit("refs/tags/v1", map[string]string{"tree.spec": "x"})
	local := Config{Kind: Git, URL: "file://" + g.base + "/$package.git", Layout: Plain, Allow: []string{"file://" + g.base}}
	if r := good(t, local, "tree", "v1"); r.pinned.Revision != id {
		t.Errorf("got %+v", r.pinned)
	}
}

// A folder that is there already is not taken for our own.
func TestFetchIntoOthers(t *testing.T) {
	g := newGit(t)
	g.commit("refs/tags/v1", map[string]string{"tree.spec": "x"})
	p, err := g.conf.Plan(Request{"tree", "v1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := open(t)
	write(t, dir, map[string]string{"tree/mine": "", "work/mine": ""})
	for _, f := range []Fetcher{{Work: filepath.Join(dir, "work2")}, {Work: filepath.Join(dir, "work")}} {
		if _, err := f.Fetch(t.Context(), p, filepath.Join(dir, "tree")); err == nil {
			t.Error("it was overwritten")
		}
	}
	if got := read(t, dir); len(got) != 2 {
		t.Errorf("there is %q", got)
	}
}
