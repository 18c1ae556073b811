package repo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plague"
)

const smallRepomd = `<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>of someone else</revision>` +
	`<data type="primary"><checksum type="sha512">x</checksum><location href="repodata/primary.xml.zst"/></data></repomd>`

func TestFetchRepomd(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "good/repodata"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "good/repodata/repomd.xml"), []byte(smallRepomd), 0o644); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer srv.Close()
	for _, base := range []string{srv.URL + "/good", srv.URL + "/good/", "file://" + dir + "/good", "file://localhost" + dir + "/good/"} {
		if got, err := FetchRepomd(t.Context(), srv.Client(), base); got != digestOf([]byte(smallRepomd)) || err != nil {
			t.Errorf("%s: %q, %v", base, got, err)
		}
	}
}

func TestFetchRepomdRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "fifo/repodata"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo/repodata/repomd.xml"), 0o644); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/portal/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>Log in!</html>") })
	mux.HandleFunc("/empty/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<repomd/>") })
	mux.HandleFunc("/endless/", func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
				return
			}
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for base, want := range map[string]struct {
		kind error
		says string
	}{
		srv.URL + "/absent":       {plague.ErrUnavailable, "404"},
		srv.URL + "/portal":       {plague.ErrUnavailable, "no repomd.xml"},
		srv.URL + "/empty":        {plague.ErrUnavailable, "no metadata"},
		srv.URL + "/endless":      {plague.ErrUnavailable, "more than"},
		"file://" + dir + "/none": {plague.ErrUnavailable, "no such file"},
		"file://" + dir + "/fifo": {plague.ErrUnavailable, "no regular file"},
		"file://host/path":        {plague.ErrUnavailable, "write file:///path"},
		"ftp://host/path":         {plague.ErrInvalid, "not http, https or file"},
		"relative/path":           {plague.ErrInvalid, "not http, https or file"},
		"http://host:bad port/":   {plague.ErrInvalid, "invalid"},
	} {
		_, err := FetchRepomd(t.Context(), srv.Client(), base)
		if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v", base, err)
		}
	}
	for _, base := range []string{"http://user:hunter2@127.0.0.1:1/", "http://user:hunter2@host:bad port/", "ftp://user:hunter2@host/"} {
		_, err := FetchRepomd(t.Context(), srv.Client(), base)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is told: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FetchRepomd(ctx, srv.Client(), srv.URL+"/endless"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDotRepo(t *testing.T) {
	got := DotRepo(target, "$basearch", "https://farm.example:8443/", "/etc/pki/farm.pem")
	for _, line := range []string{"[" + target + "]", "mirrorlist=https://farm.example:8443/repos/" + target + "/$basearch/mirrorlist",
		"gpgcheck=0", "sslcacert=/etc/pki/farm.pem"} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
	if got := DotRepo(target, arch, "http://farm.example", ""); strings.Contains(got, "ssl") {
		t.Errorf("a CA of nowhere in\n%s", got)
	}
}
