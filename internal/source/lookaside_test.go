package source

import (
	"crypto/md5"
	"crypto/sha512"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"plague"
)

// shelf is a lookaside with one file of each kind, as a folder and over HTTP.
type shelf struct {
	dir, url string
	sources  string
	broken   atomic.Int32 // how many downloads end too early
	moved    atomic.Bool
}

const tarball = "pretend that this is a tar file\n"

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{dir: open(t)}
	old, now := fmt.Sprintf("%x", md5.Sum([]byte(tarball))), fmt.Sprintf("%x", sha512.Sum512([]byte(tarball)))
	write(t, s.dir, map[string]string{
		"tree/old.tgz/" + old + "/old.tgz":              tarball,
		"tree/new.tar.xz/sha512/" + now + "/new.tar.xz": tarball,
		"tree/bad.tgz/sha512/" + hex128 + "/bad.tgz":    "tampered",
		"tree/out.tgz/sha512/" + now + "/out.tgz":       "->../../../../../secret",
		"tree/to/a/folder/x":                            "",
	})
	write(t, filepath.Dir(s.dir), map[string]string{"secret": tarball})
	s.sources = old + "  old.tgz\nSHA512 (new.tar.xz) = " + now + "\n"
	files := http.FileServer(http.Dir(s.dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.moved.Load() {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		} else if s.broken.Add(-1) >= 0 {
			begin(w, r)
		} else {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// begin sends another byte of the file and hangs up.
func begin(w http.ResponseWriter, r *http.Request) {
	at := 0
	if rng := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"); rng != "" {
		at, _ = strconv.Atoi(rng)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(tarball)-1, len(tarball)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(tarball)-at))
	if at > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	fmt.Fprint(w, tarball[at:at+1])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func TestLookaside(t *testing.T) {
	need(t, "curl")
	g, s := newGit(t), newShelf(t)
	g.conf.Layout = DistGit
	g.commit("refs/tags/v1", map[string]string{"tree.spec": "x", "sources": s.sources})
	plain := g.conf
	plain.Layout = Plain
	if files := good(t, plain, "tree", "v1").files; len(files) != 2 {
		t.Errorf("a plain tree has %q", files)
	}
	for _, place := range []string{s.dir, s.url, s.url + "/"} {
		g.conf.Lookaside = place
		r := good(t, g.conf, "tree", "v1")
		if r.files["old.tgz"] != tarball || r.files["new.tar.xz"] != tarball || len(r.files) != 4 {
			t.Errorf("%s: got %q", place, r.files)
		}
	}
	s.broken.Store(tries - 1) // goes on where it ended
	if r := good(t, g.conf, "tree", "v1"); r.files["old.tgz"] != tarball {
		t.Errorf("got %q", r.files)
	}
	s.broken.Store(100)
	if r := get(t, g.conf, "tree", "v1"); r.err == nil || Failure(r.err, "").Kind != plague.FailureInfrastructure {
		t.Errorf("a lookaside that hangs up: %v", r.err)
	}
	s.broken.Store(0)
	s.moved.Store(true)
	if r := get(t, g.conf, "tree", "v1"); r.err == nil || !strings.Contains(r.err.Error(), "answers 302") {
		t.Errorf("a lookaside that sends us elsewhere: %v", r.err)
	}
}

func TestLookasideRefuses(t *testing.T) {
	need(t, "curl")
	g, s := newGit(t), newShelf(t)
	g.conf.Layout = DistGit
	sum := fmt.Sprintf("%x", sha512.Sum512([]byte(tarball)))
	for name, tt := range map[string]struct {
		files map[string]string
		kind  error
		want  string
	}{
		"another digest":     {map[string]string{"sources": "SHA512 (bad.tgz) = " + hex128}, plague.ErrInvalid, "not the one that is listed"},
		"nothing there":      {map[string]string{"sources": "SHA512 (none.tgz) = " + hex128}, plague.ErrNotFound, "does not have it"},
		"nothing there, old": {map[string]string{"sources": hex32 + "  none.tgz"}, plague.ErrNotFound, "does not have it"},
		"a way out":          {map[string]string{"sources": "SHA512 (../../x) = " + hex128}, plague.ErrInvalid, "no name of a source file"},
		"what is in the tree": {map[string]string{"sources": "SHA512 (new.tar.xz) = " + sum, "new.tar.xz": "mine"},
			plague.ErrInvalid, "twice"},
		"a link in its place": {map[string]string{"sources": "SHA512 (new.tar.xz) = " + sum, "new.tar.xz": "->tree.spec"},
			plague.ErrInvalid, "twice"},
		"a list elsewhere": {map[string]string{"sources": "->/etc/passwd"}, plague.ErrInvalid, "leads out"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gitServer{t, g.base, g.work, g.conf}
			tt.files["tree.spec"] = "x"
			g.commit("refs/tags/bad", tt.files)
			for _, place := range []string{s.dir, s.url} {
				g.conf.Lookaside = place
				refused(t, get(t, g.conf, "tree", "bad"), tt.kind, tt.want)
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		g.commit("refs/tags/big", map[string]string{"tree.spec": "x", "sources": "SHA512 (big.tgz) = " + sum})
		big := filepath.Join(s.dir, "tree/big.tgz/sha512", sum, "big.tgz")
		write(t, s.dir, map[string]string{"tree/big.tgz/sha512/" + sum + "/big.tgz": ""})
		if err := os.Truncate(big, 3<<20); err != nil {
			t.Fatal(err)
		}
		g.conf.Limits.Bytes = 1 << 20
		for place, want := range map[string]string{s.dir: "larger than is allowed", s.url: "have more than 1048576 bytes"} {
			g.conf.Lookaside = place
			refused(t, get(t, g.conf, "tree", "big"), plague.ErrInvalid, want)
		}
	})
	t.Run("no lookaside", func(t *testing.T) {
		g.conf.Lookaside, g.conf.Limits = "", Limits{}
		refused(t, get(t, g.conf, "tree", "big"), plague.ErrInvalid, "no lookaside")
		g.conf.Layout = Make // a Makefile may have means of its own
		good(t, g.conf, "tree", "big")
	})
	t.Run("a link out of it", func(t *testing.T) {
		g.commit("refs/tags/out", map[string]string{"tree.spec": "x", "sources": "SHA512 (out.tgz) = " + sum})
		g.conf.Layout, g.conf.Lookaside = DistGit, s.dir
		if r := get(t, g.conf, "tree", "out"); r.err == nil || errors.Is(r.err, plague.ErrNotFound) {
			t.Errorf("got %v, %q", r.err, r.files)
		}
	})
	t.Run("an absent lookaside", func(t *testing.T) {
		g.conf.Lookaside = "/nowhere"
		if r := get(t, g.conf, "tree", "out"); r.err == nil || Failure(r.err, "").Kind != plague.FailureInfrastructure {
			t.Errorf("got %v", r.err)
		}
	})
}
