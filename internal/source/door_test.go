package source

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A target whose make_srpm may have the network has that of its lookaside, and no
// more.
func TestNetwork(t *testing.T) {
	need(t, "curl")
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pkgs/moved" {
			http.Redirect(w, r, "/secret", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("content of " + r.URL.Path + "\n"))
	})
	clear, tls, other := httptest.NewServer(answer), httptest.NewTLSServer(answer), httptest.NewServer(answer)
	for _, s := range []*httptest.Server{clear, tls, other} {
		t.Cleanup(s.Close)
	}
	fetch := func(url string) string {
		return "srpm:\n\tcurl -sS -k -L --max-time 20 --path-as-is --fail -o tree.txt " + url + "\n\tcat tree.txt\n\trpmbuild --nodeps -bs tree.spec\n"
	}
	run := func(lookaside, makefile string) made {
		return pack(t, Config{Layout: Make, Lookaside: lookaside, Network: true, Limits: Limits{Bytes: 1 << 20}},
			map[string]string{"Makefile": makefile, "tree.spec": spec}, func(m *Maker) { m.FetchUID, m.FetchGID = fetcher, fetcher })
	}
	for name, tt := range map[string]struct{ lookaside, url, want string }{
		"http":                {clear.URL + "/pkgs", clear.URL + "/pkgs/tree/x", "content of /pkgs/tree/x"},
		"https":               {tls.URL + "/pkgs", tls.URL + "/pkgs/tree/x", "content of /pkgs/tree/x"},
		"another server":      {clear.URL + "/pkgs", other.URL + "/pkgs/tree/x", "403"},
		"another https":       {tls.URL + "/pkgs", strings.Replace(other.URL, "http:", "https:", 1), "403"},
		"another path":        {clear.URL + "/pkgs", clear.URL + "/secret", "403"},
		"a path like it":      {clear.URL + "/pkgs", clear.URL + "/pkgs2/x", "403"},
		"a path out":          {clear.URL + "/pkgs", clear.URL + "/pkgs/../secret", "403"},
		"a path in disguise":  {clear.URL + "/pkgs", clear.URL + "/pkgs/%2e%2e/secret", "403"},
		"a redirect":          {clear.URL + "/pkgs", clear.URL + "/pkgs/moved", "403"},
		"an upload":           {clear.URL + "/pkgs", "-d x " + clear.URL + "/pkgs/x", "403"},
		"a tunnel for http":   {clear.URL + "/pkgs", "-p " + clear.URL + "/pkgs/x", "403"},
		"no proxy":            {clear.URL + "/pkgs", "--noproxy '*' " + clear.URL + "/pkgs/x", "connect"},
		"a name in the world": {clear.URL + "/pkgs", "--noproxy '*' http://example.org/", "resolve host"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(tt.lookaside, fetch(tt.url))
			if ok := strings.HasPrefix(tt.want, "content"); ok != (r.err == nil) || !strings.Contains(r.log, tt.want) {
				t.Errorf("%v, want %q in\n%s", r.err, tt.want, r.log)
			}
			if strings.Contains(r.log, "content of /secret") {
				t.Error("it left the lookaside")
			}
		})
	}
	if r := run(clear.URL, "srpm:\n\tkill -9 $$$$\n"); r.err == nil || !strings.Contains(r.err.Error(), "make failed") {
		t.Errorf("got %v", r.err)
	}
}

// The door counts what comes through.
func TestDoorLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 1000))
	}))
	defer server.Close()
	to, err := parseURL(server.URL, []string{"http"})
	if err != nil {
		t.Fatal(err)
	}
	d := &door{to: to}
	d.left.Store(1500)
	through := httptest.NewServer(d)
	defer through.Close()
	address, err := url.Parse(through.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(address)}}
	for n, want := range []bool{true, false} {
		r, err := c.Get(server.URL + "/x")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.Write(&b); (err == nil) != want {
			t.Errorf("file %d: %v", n, err)
		}
		r.Body.Close()
	}
}
