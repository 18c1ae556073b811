package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/durable"
	"plague/internal/store"
)

// open makes a site over a real database and a result tree with secrets
// beside it.
func open(t *testing.T) (*httptest.Server, *store.DB, string) {
	t.Helper()
	top := t.TempDir()
	db, err := store.Open(context.Background(), filepath.Join(top, "userdb"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	results, err := durable.Open(filepath.Join(top, "results"), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { results.Close() })
	s := httptest.NewServer(Handler(Config{
		DB: db, Results: results, URL: "https://farm.example.com:8885", Log: slog.New(slog.DiscardHandler),
		Targets: func() []plague.Target {
			return []plague.Target{{Distro: "lab", Target: "12", Repo: "extras", BaseArches: []string{"x86_64"}}}
		},
	}))
	t.Cleanup(s.Close)
	return s, db, top
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *httptest.Server, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	bare, _, _ := strings.Cut(path, "?")
	req.URL.Opaque = "//" + req.URL.Host + bare // as it stands: no cleaning on the way out
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestTree(t *testing.T) {
	s, _, top := open(t)
	job := filepath.Join(top, "results", "lab-12-extras", "1-tree-2.1.0-1", "x86_64")
	write(t, filepath.Join(job, "build.log"), "<script>alert(1)</script> line two")
	write(t, filepath.Join(job, "tree-2.1.0-1.x86_64.rpm"), "rpm")
	write(t, filepath.Join(job, ".new-build.log"), "half")
	write(t, filepath.Join(job, "<b>&.log"), "odd")
	write(t, filepath.Join(top, "results", "repos", "lab-12-extras", "x86_64", "repodata", "repomd.xml"), "<repomd/>")
	for _, tt := range []struct {
		path   string
		status int
		kind   string
		has    string
	}{
		{"/lab-12-extras/1-tree-2.1.0-1/x86_64/build.log", 200, "text/plain; charset=utf-8", "<script>alert(1)"},
		{"/lab-12-extras/1-tree-2.1.0-1/x86_64/tree-2.1.0-1.x86_64.rpm", 200, "application/x-rpm", "rpm"},
		{"/repos/lab-12-extras/x86_64/repodata/repomd.xml", 200, "text/xml; charset=utf-8", "repomd"},
		{"/lab-12-extras/1-tree-2.1.0-1/x86_64/", 200, "text/html; charset=utf-8", `href="./build.log"`},
		{"/lab-12-extras/1-tree-2.1.0-1/x86_64/", 200, "text/html; charset=utf-8", "&lt;b&gt;&amp;.log"},
		{"/lab-12-extras/1-tree-2.1.0-1/x86_64", 301, "", ""},
		{"/lab-12-extras/1-tree-2.1.0-1/x86_64/.new-build.log", 404, "", ""},
		{"/lab-12-extras/nothing", 404, "text/html; charset=utf-8", "nothing here"},
		{"/static/style.css", 200, "text/css; charset=utf-8", "table"},
	} {
		resp, body := get(t, s, tt.path)
		if resp.StatusCode != tt.status || tt.kind != "" && resp.Header.Get("Content-Type") != tt.kind || !strings.Contains(body, tt.has) {
			t.Errorf("%s: %d %s %q", tt.path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: a browser may guess", tt.path)
		}
	}
	if _, body := get(t, s, "/lab-12-extras/1-tree-2.1.0-1/x86_64/"); strings.Contains(body, ".new-") {
		t.Error("a folder shows files in the making")
	}
	resp, body := get(t, s, "/lab-12-extras/1-tree-2.1.0-1/x86_64/build.log", "Range", "bytes=26-")
	if resp.StatusCode != http.StatusPartialContent || body != "line two" {
		t.Errorf("range: %d %q", resp.StatusCode, body)
	}
}

// TestNoPathLeadsOutside: what lies beside the result tree stays there, by
// dots, encodings, links and devices.
func TestNoPathLeadsOutside(t *testing.T) {
	s, _, top := open(t)
	write(t, filepath.Join(top, "secret"), "the key")
	inside := filepath.Join(top, "results", "lab-12-extras")
	write(t, filepath.Join(inside, "x", "build.log"), "log")
	for name, target := range map[string]string{"link": "../../secret", "absolute": filepath.Join(top, "secret"), "up": "../.."} {
		if err := os.Symlink(target, filepath.Join(inside, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{
		"/../secret", "/lab-12-extras/../../secret", "/..%2fsecret", "/%2e%2e/secret", "/lab-12-extras/..%5c..%5csecret",
		"/lab-12-extras/link", "/lab-12-extras/absolute", "/lab-12-extras/up/secret", "/lab-12-extras/up/", "/lab-12-extras/x/build.log%00",
		"//etc/passwd", "/static/../../secret", "/repos/lab-12-extras/..%2f..%2f..%2fsecret/mirrorlist",
	} {
		resp, body := get(t, s, path)
		if resp.StatusCode == http.StatusOK || strings.Contains(body, "the key") {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
	resp, _ := get(t, s, "/lab-12-extras/")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a folder with links that lead out: %d", resp.StatusCode)
	}
}

func TestJobs(t *testing.T) {
	s, db, _ := open(t)
	if resp, body := get(t, s, "/"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "No job yet") {
		t.Errorf("an empty farm: %d %q", resp.StatusCode, body)
	}
	ctx := context.Background()
	if err := db.AddUpload(ctx, time.Now(), "ann@example.com", strings.Repeat("a", 64), 1); err != nil {
		t.Fatal(err)
	}
	for range pageSize + 3 {
		if _, err := db.Submit(ctx, time.Now(), store.NewJob{
			User: "<i>ann</i>@example.com", Package: "tree", Source: "tree.src.rpm", SRPM: strings.Repeat("a", 64), SRPMSize: 1,
			Target: "lab-12-extras", Scratch: true, Epoch: "0", Version: "2.1.0", Release: "1",
		}); err != nil {
			t.Fatal(err)
		}
	}
	resp, body := get(t, s, "/")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "/lab-12-extras/53-tree-2.1.0-1/") || strings.Contains(body, "<i>ann") {
		t.Errorf("first page: %d %q", resp.StatusCode, body)
	}
	if !strings.Contains(body, `<span class="state waiting">waiting</span></a> 53`) || !strings.Contains(body, "/?before=4") {
		t.Errorf("counts or the next page are missing: %q", body)
	}
	if _, body := get(t, s, "/?before=4"); !strings.Contains(body, "/3-tree-2.1.0-1/") || strings.Contains(body, "/4-tree-2.1.0-1/") || strings.Contains(body, "Older") {
		t.Errorf("last page: %q", body)
	}
	if err := db.Kill(ctx, time.Now(), "ann@example.com", 2); err != nil {
		t.Fatal(err)
	}
	for chosen, uids := range map[string][]int{
		"status=killed": {2}, "status=killed&status=prep": {2}, "package=tree&status=killed&target=lab-12-extras": {2}, "user=nobody%00": nil, "package=%ff": nil,
		"user=%3Ci%3Eann%3C/i%3E@example.com&before=3": {2, 1}, "target=lab-13-extras": nil,
	} {
		resp, body := get(t, s, "/?"+chosen)
		if n := strings.Count(body, `<td class="n">`); resp.StatusCode != http.StatusOK || n != len(uids) || strings.Contains(body, "<i>ann") || !strings.Contains(body, "All jobs") {
			t.Errorf("%s: %d, %d jobs: %q", chosen, resp.StatusCode, n, body)
		}
		for _, uid := range uids {
			if !strings.Contains(body, fmt.Sprintf(`<td class="n">%d`, uid)) {
				t.Errorf("%s: job %d is missing: %q", chosen, uid, body)
			}
		}
	}
	if _, body := get(t, s, "/?status=waiting&user=%3Ci%3Eann%3C/i%3E@example.com"); !strings.Contains(body, `href="/?before=4&amp;status=waiting&amp;user=%3Ci%3E`) {
		t.Errorf("the next page forgets what was chosen: %q", body)
	}
	if resp, body := get(t, s, "/?status=bilding"); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "did you mean building?") {
		t.Errorf("a state that is none: %d %q", resp.StatusCode, body)
	}
	if resp, _ := get(t, s, "/?before=99"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a page that begins nowhere: %d", resp.StatusCode)
	}
	for _, bad := range []string{"/?before=x", "/?before=-1"} {
		if resp, _ := get(t, s, bad); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, resp.StatusCode)
		}
	}
}

func TestMirrorlist(t *testing.T) {
	s, db, _ := open(t)
	if resp, _ := get(t, s, "/repos/lab-12-extras/x86_64/mirrorlist"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("before the first snapshot: %d", resp.StatusCode)
	}
	ctx := context.Background()
	term, err := db.Acquire(ctx, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(2) {
		if err := db.Publish(ctx, term, time.Now(), plague.Snapshot{Target: "lab-12-extras", Line: plague.LineBuild, Number: n + 1, Parent: n}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, body := get(t, s, "/repos/lab-12-extras/x86_64/mirrorlist"); body != "https://farm.example.com:8885/repos/lab-12-extras/x86_64/@2/\n" {
		t.Errorf("mirrorlist: %q", body)
	}
	if _, body := get(t, s, "/repos/lab-12-extras/x86_64/plague.repo"); !strings.Contains(body, "mirrorlist=https://farm.example.com:8885/repos/lab-12-extras/x86_64/mirrorlist") {
		t.Errorf(".repo file: %q", body)
	}
	for _, other := range []string{"/repos/lab-12-extras/i686/mirrorlist", "/repos/lab-13-extras/x86_64/mirrorlist"} {
		if resp, _ := get(t, s, other); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", other, resp.StatusCode)
		}
	}
	if err := db.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if resp, body := get(t, s, "/"); resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "sql") {
		t.Errorf("without a database: %d %q", resp.StatusCode, body)
	}
}
