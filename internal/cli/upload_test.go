package cli

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"plague/internal/server"
	"plague/internal/wire"
)

// makeSRPM lets rpmbuild make a source package that does not compress.
func makeSRPM(t *testing.T, size int) string {
	t.Helper()
	rpmbuild, err := exec.LookPath("rpmbuild")
	if err != nil {
		t.Skip("rpmbuild is not installed")
	}
	dir := t.TempDir()
	data := make([]byte, size)
	rand.Read(data)
	spec := "Name: hello\nVersion: 1.0\nRelease: 1\nSummary: says hello\nLicense: GPL-2.0-or-later\nSource: data\n%description\nSays hello.\n"
	for name, text := range map[string][]byte{"data": data, "hello.spec": []byte(spec)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(rpmbuild, "-bs", "-D", "_topdir "+dir, "-D", "_sourcedir "+dir, filepath.Join(dir, "hello.spec")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "SRPMS", "hello-1.0-1.src.rpm")
}

// cutter stands before a server's door and cuts the connection of the first
// upload after some bytes.
type cutter struct {
	after int64

	mu      sync.Mutex
	offsets []int64
}

func (c *cutter) through(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			next.ServeHTTP(w, r)
			return
		}
		offset, err := strconv.ParseInt(r.Header.Get(wire.OffsetHeader), 10, 64)
		c.mu.Lock()
		c.offsets = append(c.offsets, offset)
		first := len(c.offsets) == 1 && err == nil
		c.mu.Unlock()
		if !first {
			next.ServeHTTP(w, r)
			return
		}
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, c.after), broken{}))
		next.ServeHTTP(discard{}, r)
		panic(http.ErrAbortHandler)
	})
}

// began gives the offsets of the uploads that came.
func (c *cutter) began() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.offsets)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the line is cut") }

// discard is where the answer to a cut request goes.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// An upload that was cut off goes on where it ended, and the job is enqueued
// with the words of 2005.
func TestUploadGoesOnWhereItWasCut(t *testing.T) {
	path := makeSRPM(t, 3<<20)
	f, c := newFarm(t, server.Options{})
	cut := &cutter{after: 1 << 20}
	f.stand(cut.through)
	var out bytes.Buffer
	if err := new(buildFlags).build(t.Context(), Streams{Out: &out, Err: io.Discard}, c, []string{"hello", path, "devel"}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "Package hello enqueued.\n"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	if got, want := cut.began(), []int64{0, cut.after}; !slices.Equal(got, want) {
		t.Errorf("uploads began at %v, want %v", got, want)
	}

	// The same file again is not uploaded again.
	scratch := &buildFlags{scratch: true}
	if err := scratch.build(t.Context(), Streams{Out: &out, Err: io.Discard}, c, []string{path, "devel"}); err != nil {
		t.Fatal(err)
	}
	if got := cut.began(); len(got) != 2 {
		t.Errorf("uploads began at %v, want none more", got)
	}
}

// With allow_uploads = no the path of a file on the server goes out with the
// call of 2005, and what that refuses is refused here.
func TestEnqueueOnTheServer(t *testing.T) {
	path := makeSRPM(t, 10)
	_, c := newFarm(t, server.Options{SRPMs: filepath.Dir(path)})
	c.cfg.allowUploads = false
	var out bytes.Buffer
	build := func(f buildFlags, args ...string) error {
		return f.build(t.Context(), Streams{Out: &out, Err: io.Discard}, c, args)
	}
	if err := build(buildFlags{}, "hello", path, "devel"); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "Package hello enqueued.\n"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	for name, err := range map[string]error{
		"relative":  build(buildFlags{}, "hello", "hello-1.0-1.src.rpm", "devel"),
		"elsewhere": build(buildFlags{}, "hello", "/etc/hello-1.0-1.src.rpm", "devel"),
		"scratch":   build(buildFlags{scratch: true}, "hello", path, "devel"),
	} {
		if wire.Exit(err) != 2 {
			t.Errorf("%s: exit code %d (%v), want 2", name, wire.Exit(err), err)
		}
	}
}
