package artifact_test

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/artifact/artifacttest"
	"plague/internal/durable"
)

func TestDir(t *testing.T) {
	artifacttest.Run(t, func(t *testing.T) artifacttest.Store { return store(t, folder(t)) })
}

func folder(t *testing.T) *durable.Dir {
	t.Helper()
	d, err := durable.Open(filepath.Join(t.TempDir(), "artifacts"), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func store(t *testing.T, d *durable.Dir) *artifact.Dir {
	t.Helper()
	s, err := artifact.OpenDir(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func files(t *testing.T, d *durable.Dir) []string {
	t.Helper()
	var all []string
	if err := d.Walk(".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

const text = "the whole of a small source package"

func TestParseDigest(t *testing.T) {
	d := artifact.Digest(sha256.Sum256([]byte(text)))
	if got, err := artifact.ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("read back %s, %v", got, err)
	}
	hex := d.String()
	for _, s := range []string{"", hex[:63], hex + "0", hex[:63] + "g", strings.Repeat("A", 64), strings.Repeat("é", 32), "../" + hex[3:], strings.Repeat("x", 1<<20)} {
		_, err := artifact.ParseDigest(s)
		if !errors.Is(err, plague.ErrInvalid) || len(err.Error()) > 500 {
			t.Errorf("%.80q: %.500v", s, err)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add(strings.Repeat("0f", 32))
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := artifact.ParseDigest(s); err == nil && d.String() != s {
			t.Errorf("%q and %q are one digest", s, d)
		}
	})
}

func TestLayout(t *testing.T) {
	d := folder(t)
	s := store(t, d)
	digest, _, err := s.Add(t.Context(), strings.NewReader(text), 100)
	if err != nil {
		t.Fatal(err)
	}
	hex := digest.String()
	if got, want := files(t, d), []string{hex[:2] + "/" + hex[2:4] + "/" + hex}; !slices.Equal(got, want) {
		t.Errorf("the store holds %q, not %q", got, want)
	}
	info, err := os.Stat(s.Path(digest))
	if err != nil || info.Mode() != 0o444 {
		t.Errorf("%v, %v", info, err)
	}
}

// A second writer of the same content must not part it from its hard links.
func TestHardLinksStay(t *testing.T) {
	s := store(t, folder(t))
	d, _, err := s.Add(t.Context(), strings.NewReader(text), 100)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(s.Path(d)))), "link")
	if err := os.Link(s.Path(d), link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Add(t.Context(), strings.NewReader(text), 100); err != nil {
		t.Fatal(err)
	}
	a, _ := os.Stat(s.Path(d))
	b, err := os.Stat(link)
	if err != nil || !os.SameFile(a, b) {
		t.Errorf("artifact and its link are two files, %v", err)
	}
}

// ways are the three ways in, each with the whole text.
var ways = map[string]func(t *testing.T, s *artifact.Dir, d artifact.Digest) error{
	"Put": func(t *testing.T, s *artifact.Dir, d artifact.Digest) error {
		return s.Put(t.Context(), d, int64(len(text)), 100, strings.NewReader(text))
	},
	"Add": func(t *testing.T, s *artifact.Dir, d artifact.Digest) error {
		_, _, err := s.Add(t.Context(), strings.NewReader(text), 100)
		return err
	},
	"PutAt": func(t *testing.T, s *artifact.Dir, d artifact.Digest) error {
		offset, err := s.Offset(d)
		if err != nil {
			return err
		}
		_, err = s.PutAt(t.Context(), d, offset, int64(len(text)), 100, strings.NewReader(text[offset:]))
		return err
	},
}

func TestDiskFull(t *testing.T) {
	digest := artifact.Digest(sha256.Sum256([]byte(text)))
	for way, put := range ways {
		for _, op := range []string{durable.OpCreate, durable.OpWrite, durable.OpSync, durable.OpMkdir, durable.OpRename} {
			d := folder(t)
			full := false
			s := store(t, d.WithHook(func(o, _ string) error {
				if full && o == op {
					return syscall.ENOSPC
				}
				return nil
			}))
			full = true
			err := put(t, s, digest)
			if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, plague.ErrUnavailable) {
				t.Errorf("%s, full disk at %s: %v", way, op, err)
			}
			if s.Has(digest) {
				t.Errorf("%s, full disk at %s: the artifact is visible", way, op)
			}
			if got := files(t, d); way != "PutAt" && len(got) != 0 {
				t.Errorf("%s, full disk at %s: left %q", way, op, got)
			}
			full = false
			if err := put(t, s, digest); err != nil {
				t.Errorf("%s, disk free again after %s: %v", way, op, err)
			}
		}
	}
}

// A process that dies at any step leaves the artifact absent or whole, and the
// next process, after its sweep, stores it.
func TestCrashAtEveryStep(t *testing.T) {
	digest := artifact.Digest(sha256.Sum256([]byte(text)))
	crash := errors.New("crashed here")
	for way, put := range ways {
		steps := 0
		for stop, over := 1, false; !over; stop++ {
			d := folder(t)
			store(t, d)
			calls := 0
			s := store(t, d.WithHook(func(string, string) error {
				if calls++; calls >= stop {
					return crash
				}
				return nil
			}))
			err := put(t, s, digest)
			if err != nil && !errors.Is(err, crash) {
				t.Fatalf("%s, crash at %d: %v", way, stop, err)
			}
			over = err == nil
			steps = stop

			s = store(t, d)
			if s.Has(digest) {
				if got, err := os.ReadFile(s.Path(digest)); string(got) != text {
					t.Errorf("%s, crash at %d: visible with %q, %v", way, stop, got, err)
				}
				if info, err := os.Stat(s.Path(digest)); err != nil || info.Mode() != 0o444 {
					t.Errorf("%s, crash at %d: visible as %v, %v", way, stop, info, err)
				}
			}
			if err := put(t, s, digest); err != nil {
				t.Errorf("%s, after a crash at %d: %v", way, stop, err)
			}
			if err := s.Sweep(0); err != nil {
				t.Fatal(err)
			}
			if got := files(t, d); len(got) != 1 {
				t.Errorf("%s, after a crash at %d there is %q", way, stop, got)
			}
		}
		if steps < 8 {
			t.Errorf("%s has only %d steps: the hook is not asked", way, steps)
		}
	}
}

func TestManyWritersOfOneArtifact(t *testing.T) {
	s := store(t, folder(t))
	digest := artifact.Digest(sha256.Sum256([]byte(text)))
	var wg sync.WaitGroup
	for range 4 {
		for way, put := range ways {
			wg.Go(func() {
				if err := put(t, s, digest); err != nil && !(way == "PutAt" && errors.Is(err, plague.ErrConflict)) {
					t.Errorf("%s: %v", way, err)
				}
			})
		}
	}
	wg.Wait()
	if got, err := os.ReadFile(s.Path(digest)); string(got) != text {
		t.Errorf("artifact holds %q, %v", got, err)
	}
}

func TestSweep(t *testing.T) {
	d := folder(t)
	s := store(t, d)
	old, young := artifact.Digest{1}, artifact.Digest{2}
	for _, digest := range []artifact.Digest{old, young} {
		if _, err := s.PutAt(t.Context(), digest, 0, 10, 10, strings.NewReader("half")); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(d.Path("partial", old.String()), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	for digest, want := range map[artifact.Digest]int64{old: 0, young: 4} {
		if n, err := s.Offset(digest); n != want || err != nil {
			t.Errorf("offset %d, not %d, %v", n, want, err)
		}
	}
}
