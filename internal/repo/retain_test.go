package repo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/durable"
)

// dnf keeps metadata for 48 h, and the design adds a day.
const grace = 72 * time.Hour

func none(int64) bool { return false }

// here lists what is below the repository's folder, without what the newest
// snapshot's number and checksums make different each time.
func here(t *testing.T, tree *Tree, pattern string) []string {
	t.Helper()
	root := tree.files.Path(reposDir, target, arch)
	names, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, root+"/")
	}
	return names
}

func retain(t *testing.T, tree *Tree, keep func(int64) bool, at time.Duration) {
	t.Helper()
	if err := tree.Retain(t.Context(), target, keep, time.Unix(1_000_000, 0).Add(at)); err != nil {
		t.Fatal(err)
	}
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	a, b, c := plain(t, dir, 1, "a", "a"), plain(t, dir, 2, "b", "b"), plain(t, dir, 2, "c", "c")
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0, a, b))
	publish(t, tree, of(2, 1, b, c))
	publish(t, tree, of(3, 2, c))
	if err := tree.Build(t.Context(), of(4, 3, c, a)); err != nil { // not committed yet
		t.Fatal(err)
	}
	keepTwo := func(n int64) bool { return n == 2 }

	retain(t, tree, keepTwo, 0)
	retain(t, tree, keepTwo, grace-time.Second)
	if got, want := here(t, tree, "@*"), []string{"@1", "@2", "@3", "@4"}; !slices.Equal(got, want) {
		t.Errorf("before the time, %v are there", got)
	}
	if got := here(t, tree, "repodata/*-primary*"); len(got) != 3 {
		t.Errorf("before the time, the union has %v", got)
	}

	retain(t, tree, keepTwo, grace)
	if got, want := here(t, tree, "@*"), []string{"@2", "@3", "@4"}; !slices.Equal(got, want) {
		t.Errorf("%v are there", got)
	}
	if got := here(t, tree, "repodata/*-primary*"); len(got) != 1 {
		t.Errorf("the union has %v", got)
	}
	if got, want := here(t, tree, "Packages/*/*"), []string{a.Href(), b.Href(), c.Href()}; !slices.Equal(got, want) {
		t.Errorf("%v are there", got)
	}
	wantSeen(t, tree, "@2", 2, b, c)
	wantSeen(t, tree, ".", 3, c)

	if err := tree.Sweep(t.Context(), target, 3); err != nil { // number 4 is given up
		t.Fatal(err)
	}
	retain(t, tree, none, grace)
	retain(t, tree, none, 2*grace)
	if got, want := here(t, tree, "@*"), []string{"@3"}; !slices.Equal(got, want) {
		t.Errorf("%v are there", got)
	}
	if got, want := here(t, tree, "Packages/*"), []string{"Packages/2"}; !slices.Equal(got, want) {
		t.Errorf("folders of jobs: %v", got)
	}
	if got, want := here(t, tree, "Packages/*/*"), []string{c.Href()}; !slices.Equal(got, want) {
		t.Errorf("%v are there", got)
	}
	wantSeen(t, tree, ".", 3, c)
}

// What fell out of use twice has its whole time after the second, even when no
// retention ran while it was in use.
func TestGraceBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	a, b := plain(t, dir, 1, "a", "a"), plain(t, dir, 2, "b", "b")
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0, a))
	primaries := here(t, tree, "repodata/*-primary*")
	publish(t, tree, of(2, 1, b))
	retain(t, tree, none, 0)
	publish(t, tree, of(3, 2, a)) // the same primary as number 1
	publish(t, tree, of(4, 3, b))
	retain(t, tree, none, grace)
	if got := here(t, tree, "repodata/*-primary*"); !slices.Contains(got, primaries[0]) {
		t.Errorf("metadata shown a moment ago is gone: %v", got)
	}
	if got := here(t, tree, "Packages/*/a-*"); len(got) != 1 {
		t.Error("an RPM named a moment ago is gone")
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	a, b := plain(t, dir, 1, "a", "a"), plain(t, dir, 2, "b", "b")
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0, a))
	if err := tree.Build(t.Context(), of(2, 1, a, b)); err != nil {
		t.Fatal(err)
	}
	root := tree.files.Path(reposDir, target, arch)
	for _, name := range []string{durable.TempPrefix + "x/repodata", "repodata/" + durable.TempPrefix + "y"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.Sweep(t.Context(), target, 1); err != nil {
		t.Fatal(err)
	}
	if got, want := here(t, tree, "@*"), []string{"@1"}; !slices.Equal(got, want) {
		t.Errorf("%v are there", got)
	}
	wantTidy(t, root)
	wantSeen(t, tree, ".", 1, a)

	publish(t, tree, of(2, 1, a, b))
	err := tree.Sweep(t.Context(), target, 1)
	if !errors.Is(err, plague.ErrConflict) || !strings.Contains(err.Error(), "the database is older") {
		t.Errorf("an older database: %v", err)
	}
	wantSeen(t, tree, ".", 2, a, b)
}

// The artifact store may be on another disk: copies instead of hard links.
func TestOtherDisk(t *testing.T) {
	dir := memory(t)
	a := plain(t, t.TempDir(), 1, "a", "a")
	tree := openTree(t, dir, Plain{})
	publish(t, tree, of(1, 0, a))
	wantSeen(t, tree, ".", 1, a)
	info, err := os.Stat(filepath.Join(dir, reposDir, target, arch, a.Href()))
	if err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestHardLinks(t *testing.T) {
	a := plain(t, t.TempDir(), 1, "a", "a")
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0, a))
	in, err := os.Stat(tree.files.Path(reposDir, target, arch, a.Href()))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := os.Stat(a.Path); err != nil || !os.SameFile(in, out) {
		t.Errorf("the RPM is there twice, %v", err)
	}
}

// SHA256SUMS is for people, too.
func TestSumsAreThoseOfSha256sum(t *testing.T) {
	a := realRPM(t, 1, 0, 0)
	tree := openTree(t, t.TempDir(), Plain{})
	publish(t, tree, of(1, 0, a))
	text, err := os.ReadFile(tree.files.Path(reposDir, target, arch, "@1", sumsFile))
	if want := fmt.Sprintf("%x  Packages/1/p00-1-1.noarch.rpm\n", a.Digest); string(text) != want || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}
