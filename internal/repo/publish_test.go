package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plague"
)

// history is what the database would say: the contents of each committed
// snapshot. It is written before the stable address can show one.
type history struct {
	mu sync.Mutex // guards the field below
	at map[int64]contents
}

func (h *history) add(n int64, c contents) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at[n] = c
}

func (h *history) check(n int64, c contents) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if want, ok := h.at[n]; !ok || !maps.Equal(c, want) {
		return fmt.Errorf("snapshot %d was seen with %d packages, not the %d of the database (known: %v)", n, len(c), len(want), ok)
	}
	return nil
}

// web serves the tree as any web server would, and the mirrorlist as ours does.
func web(t *testing.T, tree *Tree) *httptest.Server {
	t.Helper()
	files := http.FileServer(http.Dir(tree.files.Path()))
	mux := http.NewServeMux()
	mux.Handle("/", files)
	mux.HandleFunc("GET /repos/{target}/{arch}/mirrorlist", func(w http.ResponseWriter, r *http.Request) {
		n, err := tree.Current(r.PathValue("target"), r.PathValue("arch"))
		if err != nil || n == 0 {
			http.Error(w, "nothing yet", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, "http://%s/repos/%s/%s/@%d/\n", r.Host, r.PathValue("target"), r.PathValue("arch"), n)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func httpGet(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// watch reads the repository again and again until ctx ends. base gives the
// address for each time.
func watch(ctx context.Context, h *history, base func() (string, error)) (views int, err error) {
	have := map[string][32]byte{}
	last := int64(0)
	for ctx.Err() == nil {
		at, err := base()
		if err != nil {
			return views, err
		}
		r := reader{have: have, get: func(name string) ([]byte, error) { return httpGet(at + name) }}
		n, c, err := r.resolve()
		if err != nil {
			return views, err
		}
		if err := h.check(n, c); err != nil {
			return views, err
		}
		if n < last {
			return views, fmt.Errorf("snapshot %d was seen after %d", n, last)
		}
		if n > last {
			views++
		}
		last = n
	}
	return views, nil
}

// Invariant 3: what any reader sees is exactly one snapshot, never a mixture or a
// 404, while 50 snapshots are published, some without packages that the one
// before had, and retention runs.
func TestReadersDuringFiftyPublishes(t *testing.T) {
	tree := openTree(t, t.TempDir(), Createrepo("createrepo_c"))
	h := &history{at: map[int64]contents{}}
	srv := web(t, tree)
	var all []Package
	snapshot := func(n int64) Snapshot {
		all = append(all, realRPM(t, n, 0, int(n)))
		if n%7 == 0 {
			all = all[2:] // retired
		}
		s := of(n, n-1, all...)
		h.add(n, contentsOf(all))
		return s
	}
	publish(t, tree, snapshot(1))

	stable := srv.URL + "/repos/" + target + "/" + arch + "/"
	bases := map[string]func() (string, error){
		"stable address": func() (string, error) { return stable, nil },
		"mirrorlist": func() (string, error) {
			text, err := httpGet(stable + "mirrorlist")
			return strings.TrimSpace(string(text)), err
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for name, base := range bases {
		for range 2 {
			readers.Go(func() {
				views, err := watch(ctx, h, base)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				t.Logf("%s: %d different views", name, views)
				if views < 2 {
					t.Errorf("%s: the reader saw %d snapshots: this test saw nothing", name, views)
				}
			})
		}
	}
	now := time.Now()
	for n := int64(2); n <= 51; n++ {
		publish(t, tree, snapshot(n))
		if err := tree.Retain(t.Context(), target, func(int64) bool { return false }, now.Add(time.Duration(n)*time.Hour)); err != nil {
			t.Error(err)
		}
	}
	stop()
	readers.Wait()
	wantSeen(t, tree, ".", 51, all...)
}

func TestBuildIsIdempotent(t *testing.T) {
	dir := t.TempDir()
	a, b := plain(t, dir, 1, "a", "one"), plain(t, dir, 2, "b", "two")
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0, a))
	publish(t, tree, of(1, 0, a))
	if err := tree.Build(t.Context(), of(1, 0, a, b)); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("a published snapshot was built with other content: %v", err)
	}
	wantSeen(t, tree, "@1", 1, a)

	// Built, never committed; then other jobs were ready too.
	if err := tree.Build(t.Context(), of(2, 1, a, b)); err != nil {
		t.Fatal(err)
	}
	rebuilt := plain(t, dir, 2, "b", "the next run's")
	publish(t, tree, of(2, 1, a, rebuilt))
	wantSeen(t, tree, ".", 2, a, rebuilt)
}

func TestPointNeverGoesBackwards(t *testing.T) {
	dir := t.TempDir()
	a, b := plain(t, dir, 1, "a", "one"), plain(t, dir, 2, "b", "two")
	tree := openTree(t, t.TempDir(), Plain{})
	if n := current(t, tree); n != 0 {
		t.Errorf("an empty tree shows %d", n)
	}
	publish(t, tree, of(1, 0, a))
	publish(t, tree, of(2, 1, a, b))
	if err := tree.Point(t.Context(), target, arches, 1); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, tree, ".", 2, a, b)
	if err := tree.Point(t.Context(), target, arches, 3); !errors.Is(err, plague.ErrNotFound) {
		t.Errorf("pointed at a snapshot that is not there: %v", err)
	}
	wantSeen(t, tree, ".", 2, a, b)
}

// Each arch has a repository of its own; what is built for a target and fails for
// one of them is shown for none.
func TestArches(t *testing.T) {
	dir := t.TempDir()
	a, b := plain(t, dir, 1, "a", "one"), plain(t, dir, 2, "b", "two")
	tree := openTree(t, t.TempDir(), Plain{})
	both := []string{"x86_64", "i686"}
	s := Snapshot{Target: target, Number: 1, Arches: both, Packages: map[string][]Package{"x86_64": {a, b}, "i686": {a}}}
	publish(t, tree, s)
	wantSeen(t, tree, ".", 1, a, b)
	wantSeen(t, tree, "../i686", 1, a)

	gone := b
	gone.Path += ".gone"
	s.Number, s.Parent, s.Packages["i686"] = 2, 1, []Package{a, gone}
	if err := tree.Build(t.Context(), s); err == nil {
		t.Error("built without one of the files")
	}
	if err := tree.Sweep(t.Context(), target, 1); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, tree, ".", 1, a, b)
	wantSeen(t, tree, "../i686", 1, a)
	if _, err := tree.Repomd(target, "x86_64", 2); !errors.Is(err, plague.ErrNotFound) {
		t.Errorf("half of snapshot 2 is there: %v", err)
	}
}

func TestPathsNeverChangeContent(t *testing.T) {
	dir := t.TempDir()
	a, b := plain(t, dir, 1, "a", "one"), plain(t, dir, 2, "b", "two")
	other := plain(t, dir, 1, "a", "another")
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0, a))
	if err := tree.Build(t.Context(), of(2, 1, other, b)); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("against the parent: %v", err)
	}
	publish(t, tree, of(2, 1, b))
	if err := tree.Build(t.Context(), of(3, 2, other, b)); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("against an older snapshot: %v", err)
	}
	wantSeen(t, tree, "@1", 1, a)
}

func TestPins(t *testing.T) {
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0))
	got, err := tree.Repomd(target, arch, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "@1"} {
		url := "file://" + tree.files.Path(reposDir, target, arch, dir)
		if want, err := FetchRepomd(t.Context(), http.DefaultClient, url); err != nil || got != want {
			t.Errorf("Repomd gave %s, reading %q gives %s, %v", got, dir, want, err)
		}
	}
	if _, err := tree.Repomd(target, arch, 2); !errors.Is(err, plague.ErrNotFound) {
		t.Errorf("snapshot 2: %v", err)
	}
}

func TestBadSnapshots(t *testing.T) {
	dir := t.TempDir()
	a := plain(t, dir, 1, "a", "one")
	with := func(change func(*Package)) Snapshot {
		p := a
		change(&p)
		return of(1, 0, p)
	}
	for name, s := range map[string]Snapshot{
		"number":         of(2, 2, a),
		"parent":         of(2, -1, a),
		"target up":      {Target: "..", Number: 1, Arches: arches},
		"target path":    {Target: "a/b", Number: 1, Arches: arches},
		"target hidden":  {Target: ".new-x", Number: 1, Arches: arches},
		"arch up":        {Target: target, Number: 1, Arches: []string{"../x"}},
		"arch at":        {Target: target, Number: 1, Arches: []string{"@1"}},
		"arch not asked": {Target: target, Number: 1, Arches: arches, Packages: map[string][]Package{"i686": {a}}},
		"file up":        with(func(p *Package) { p.File = "../a-1-1.noarch.rpm" }),
		"file newline":   with(func(p *Package) { p.File = "a\n-1-1.noarch.rpm" }),
		"file of arch":   with(func(p *Package) { p.Arch = "x86_64" }),
		"no job":         with(func(p *Package) { p.Job = 0 }),
	} {
		base := t.TempDir()
		if err := openTree(t, base, Plain{}).Build(t.Context(), s); !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if outside, _ := filepath.Glob(base + "/x"); len(outside) > 0 {
			t.Errorf("%s led outside", name)
		}
	}
	twice := of(1, 0, a, plain(t, dir, 2, "a", "two"))
	if err := openTree(t, t.TempDir(), Plain{}).Build(t.Context(), twice); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("one name twice: %v", err)
	}
}
