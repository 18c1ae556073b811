package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"plague"
)

// makers are the two that a tree is run with; both pass the same suite.
var makers = map[string]Metadata{"createrepo_c": Createrepo("createrepo_c"), "Plain": Plain{}}

func TestMakers(t *testing.T) {
	for name, m := range makers {
		t.Run(name, func(t *testing.T) { suite(t, m) })
	}
}

func suite(t *testing.T, m Metadata) {
	var ps []Package
	for i := range 10 {
		ps = append(ps, realRPM(t, int64(i/2+1), 0, i))
	}
	t.Run("empty", func(t *testing.T) {
		tree := openTree(t, t.TempDir(), m)
		publish(t, tree, of(1, 0))
		wantSeen(t, tree, ".", 1)
	})
	t.Run("grows and shrinks", func(t *testing.T) {
		tree := openTree(t, t.TempDir(), m)
		publish(t, tree, of(1, 0, ps[:4]...))
		publish(t, tree, of(2, 1, ps[:9]...))
		publish(t, tree, of(5, 2, ps[2:]...)) // numbers may be left out
		wantSeen(t, tree, "@1", 1, ps[:4]...)
		wantSeen(t, tree, "@2", 2, ps[:9]...)
		wantSeen(t, tree, "@5", 5, ps[2:]...)
		wantSeen(t, tree, ".", 5, ps[2:]...)
	})
	t.Run("same name from another job", func(t *testing.T) {
		tree := openTree(t, t.TempDir(), m)
		publish(t, tree, of(1, 0, ps[:4]...))
		again := append([]Package{realRPM(t, 77, 1, 0)}, ps[1:4]...)
		publish(t, tree, of(2, 1, again...))
		wantSeen(t, tree, ".", 2, again...)
		wantSeen(t, tree, "@1", 1, ps[:4]...)
	})
	t.Run("modes", func(t *testing.T) {
		defer syscall.Umask(syscall.Umask(0o077))
		dir := t.TempDir()
		publish(t, openTree(t, dir, m), of(1, 0, ps[:4]...))
		walkModes(t, filepath.Join(dir, "repos"))
	})
}

// walkModes wants everything readable by whatever server shows it, and nothing
// writable by it.
func walkModes(t *testing.T, dir string) {
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Mode()&os.ModeSymlink != 0 {
			return err
		}
		want := os.FileMode(0o444)
		if e.IsDir() {
			want = 0o555
		}
		if got := info.Mode().Perm(); got&want != want || got&0o022 != 0 {
			t.Errorf("%s has mode %o", name, got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// liar is a maker that reports success for something else than what was asked.
type liar struct {
	Metadata
	before func(*MakeInput)
	after  func(t *testing.T, repodata string)
	t      *testing.T
}

func (l liar) Make(ctx context.Context, in MakeInput) error {
	if l.before != nil {
		l.before(&in)
	}
	if err := l.Metadata.Make(ctx, in); err != nil {
		return err
	}
	if l.after != nil {
		l.after(l.t, filepath.Join(in.Out, repodataDir))
	}
	return nil
}

func rewrite(t *testing.T, pattern string, change func(string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], []byte(change(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLiesAreNotPublished(t *testing.T) {
	repomdText := func(change func(string) string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { rewrite(t, filepath.Join(dir, repomdFile), change) }
	}
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, old, new) }
	}
	lies := map[string]struct {
		before func(*MakeInput)
		after  func(*testing.T, string)
		says   string
	}{
		"one too few":      {before: func(in *MakeInput) { in.Packages = in.Packages[1:] }, says: "it lacks Packages/1/p00-1-1.noarch.rpm"},
		"none":             {before: func(in *MakeInput) { in.Packages = nil }, says: "lists 0 packages, not the 3 asked for"},
		"one too many":     {before: func(in *MakeInput) { in.Packages = append(in.Packages[:3:3], realRPM(t, 1, 0, 3)) }, says: "nobody asked for"},
		"one twice":        {before: func(in *MakeInput) { in.Packages = append(in.Packages[:3:3], in.Packages[0]) }, says: "twice"},
		"another revision": {before: func(in *MakeInput) { in.Revision = 9 }, says: "not 1"},
		"nothing at all":   {after: func(t *testing.T, dir string) { os.RemoveAll(dir) }, says: "no such file"},
		"primary torn": {after: func(t *testing.T, dir string) {
			rewrite(t, dir+"/*-primary.xml.gz", func(s string) string { return s[:len(s)-20] })
		}, says: "where repomd.xml says"},
		"primary missing": {after: func(t *testing.T, dir string) {
			files, _ := filepath.Glob(dir + "/*-primary.xml.gz")
			os.Remove(files[0])
		}, says: "no such file"},
		"no primary":        {after: repomdText(replace(`type="primary"`, `type="secondary"`)), says: "0 primary"},
		"no XML":            {after: repomdText(func(string) string { return "<html>" }), says: "no repomd.xml"},
		"weaker checksums":  {after: repomdText(replace(`"sha256"`, `"md5"`)), says: "not named by its SHA-256"},
		"a way out":         {after: repomdText(replace(`href="repodata/`, `href="repodata/../../`)), says: "not named by its SHA-256"},
		"an endless repomd": {after: repomdText(func(s string) string { return s + strings.Repeat(" ", maxRepomd) }), says: "more than"},
	}
	for maker, m := range makers {
		for name, lie := range lies {
			t.Run(maker+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				tree := openTree(t, dir, liar{m, lie.before, lie.after, t})
				if maker == "createrepo_c" && name == "one too many" {
					extra := realRPM(t, 1, 0, 3)
					at := filepath.Join(dir, reposDir, target, arch, extra.Href())
					if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(extra.Path, at)); err != nil {
						t.Fatal(err)
					}
				}
				if maker == "createrepo_c" && name == "one twice" {
					t.Skip("createrepo_c itself lists it once")
				}
				err := tree.Build(t.Context(), of(1, 0, realRPM(t, 1, 0, 0), realRPM(t, 1, 0, 1), realRPM(t, 2, 0, 2)))
				if err == nil || !strings.Contains(err.Error(), lie.says) {
					t.Errorf("got %v, not %q", err, lie.says)
				}
				if entries, _ := os.ReadDir(filepath.Join(dir, reposDir, target, arch)); len(entries) != 1 {
					t.Errorf("left %v", entries)
				}
			})
		}
	}
}

func TestWrongDigestOfAnRPM(t *testing.T) {
	tree := openTree(t, t.TempDir(), Createrepo("createrepo_c"))
	p := realRPM(t, 1, 0, 0)
	p.Digest[0]++
	err := tree.Build(t.Context(), of(1, 0, p))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("not %x", p.Digest)) {
		t.Errorf("got %v", err)
	}
}

func TestCreaterepoSkipsWhatIsNoRPM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x-1-1.noarch.rpm")
	if err := os.WriteFile(file, []byte("not an RPM"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree := openTree(t, t.TempDir(), Createrepo("createrepo_c"))
	if err := tree.Build(t.Context(), of(1, 0, packageOf(t, 1, file), realRPM(t, 2, 0, 0))); err == nil {
		t.Error("published without one of the packages")
	}
}

// A snapshot that grew from damaged metadata, or in whose parent's name an RPM
// went away, is made from nothing.
func TestDamagedParent(t *testing.T) {
	a, b, c := realRPM(t, 1, 0, 0), realRPM(t, 2, 0, 1), realRPM(t, 3, 0, 2)
	for name, damage := range map[string]func(t *testing.T, dir string){
		"RPM gone":       func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, a.Href())) },
		"primary broken": func(t *testing.T, dir string) { rewrite(t, dir+"/@1/repodata/*-primary.xml.gz", strings.ToUpper) },
		"repomd gone":    func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "@1/repodata/repomd.xml")) },
	} {
		t.Run(name, func(t *testing.T) {
			tree := openTree(t, t.TempDir(), Createrepo("createrepo_c"))
			publish(t, tree, of(1, 0, a, b))
			damage(t, tree.files.Path(reposDir, target, arch))
			publish(t, tree, of(2, 1, a, b, c))
			wantSeen(t, tree, "@2", 2, a, b, c)
		})
	}
}

func TestCreaterepoMissing(t *testing.T) {
	for _, program := range []string{"createrepo-of-nowhere", "/nowhere/createrepo_c"} {
		err := openTree(t, t.TempDir(), Createrepo(program)).Build(t.Context(), of(1, 0))
		if !errors.Is(err, plague.ErrUnavailable) || !strings.Contains(err.Error(), "apt install createrepo-c") {
			t.Errorf("%s: %v", program, err)
		}
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "createrepo")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCreaterepoFails(t *testing.T) {
	program := script(t, `yes noise | head -c 100000 >&2; echo "no space left" >&2; exit 3`)
	err := openTree(t, t.TempDir(), Createrepo(program)).Build(t.Context(), of(1, 0))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.HasSuffix(err.Error(), "no space left") || len(err.Error()) > 2*maxStderr {
		t.Errorf("got %v", err)
	}
}

func TestCreaterepoHangs(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "pid")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	program := script(t, `sleep 1000 & echo $! > `+fifo+`; wait`)
	done := make(chan error)
	tree := openTree(t, t.TempDir(), Createrepo(program))
	go func() { done <- tree.Build(ctx, of(1, 0)) }()
	text, err := os.ReadFile(fifo) // until the child of the child is there
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("the server stops")
	cancel(stop)
	if err := <-done; !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatal("what createrepo_c started lives on")
		}
	}
}

// alive: a killed process that its new parent has not waited for is dead, too.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestSums(t *testing.T) {
	c := contentsOf([]Package{realRPM(t, 1, 0, 0), realRPM(t, 12, 0, 1)})
	got, err := parseSums(c.sums())
	if err != nil || !maps.Equal(got, c) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseSums([]byte("abc  Packages/1/x\n")); err == nil {
		t.Error("half a digest was read")
	}
}
