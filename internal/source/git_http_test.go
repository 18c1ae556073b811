package source

import (
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"plague"
)

// Over HTTP a server answers itself: it does not send us elsewhere, and its
// question for a password is an end.
func TestGitHTTP(t *testing.T) {
	g := newGit(t)
	backend := filepath.Join(strings.TrimSpace(command(t, "", "git", "--exec-path")), "git-http-backend")
	need(t, backend)
	id := g.commit("refs/tags/v1", map[string]string{"tree.spec": "x"})
	inner := &cgi.Handler{Path: backend, Stderr: io.Discard, Env: []string{"GIT_PROJECT_ROOT=" + g.base, "GIT_HTTP_EXPORT_ALL=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	server := httptest.NewServer(inner)
	defer server.Close()
	outer := http.NewServeMux()
	outer.HandleFunc("/moved/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, server.URL+strings.TrimPrefix(r.URL.RequestURI(), "/moved"), http.StatusMovedPermanently)
	})
	outer.HandleFunc("/closed/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	front := httptest.NewServer(outer)
	defer front.Close()
	conf := Config{Kind: Git, URL: server.URL + "/$package.git", Layout: Plain}
	for _, tag := range []string{"v1", id} {
		if r := good(t, conf, "tree", tag); r.pinned.Revision != id {
			t.Errorf("got %+v", r.pinned)
		}
	}
	refused(t, get(t, conf, "nothing", "v1"), plague.ErrNotFound, "no package")
	for path, want := range map[string]string{"/moved": "", "/closed": "terminal prompts disabled"} {
		conf.URL = front.URL + path + "/$package.git"
		if r := get(t, conf, "tree", "v1"); r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: got %v", path, r.err)
		}
	}
}
