package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"plague/internal/durable"
)

// memory gives a folder without a disk behind it, where the machine has one:
// the tests below make thousands of fsyncs.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "plague-repo-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// story is what a farm does to one target. committed is its database.
type story struct {
	committed int64
	snapshots []Snapshot // by number, from 1
	abandoned Snapshot   // built before number 3, never committed
}

func newStory(t *testing.T, dir string) *story {
	a, b, c := plain(t, dir, 1, "a", "a"), plain(t, dir, 2, "b", "b"), plain(t, dir, 3, "c", "c of run 2")
	return &story{
		snapshots: []Snapshot{of(1, 0, a), of(2, 1, a, b), of(3, 2, b, c), of(4, 3, a, b, c)},
		abandoned: of(3, 2, a, b, plain(t, dir, 3, "c", "c of run 1")),
	}
}

func (s *story) current() Snapshot { return s.snapshots[s.committed-1] }

// run goes on from what is committed to the end, or to the first error.
func (s *story) run(ctx context.Context, tree *Tree) error {
	if err := tree.Sweep(ctx, target, s.committed); err != nil {
		return err
	}
	if s.committed > 0 {
		if err := tree.Point(ctx, target, arches, s.committed); err != nil {
			return err
		}
	}
	for s.committed < int64(len(s.snapshots)) {
		if s.committed == s.abandoned.Parent {
			if err := tree.Build(ctx, s.abandoned); err != nil {
				return err
			}
		}
		next := s.snapshots[s.committed]
		if err := tree.Build(ctx, next); err != nil {
			return err
		}
		s.committed = next.Number
		if err := tree.Point(ctx, target, arches, next.Number); err != nil {
			return err
		}
	}
	for _, day := range []time.Duration{1, 5, 9} {
		if err := tree.Retain(ctx, target, func(int64) bool { return false }, time.Unix(0, 0).Add(day*24*time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// check reads everything that a reader could: each snapshot there is whole and
// what it was to be, and the stable address shows a committed one, no older than
// least.
func (s *story) check(t *testing.T, tree *Tree, least int64) int64 {
	t.Helper()
	b, err := tree.branch(target, arch)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := b.snapshots()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, n := range ns {
		_, got := seen(t, tree, fmt.Sprintf("@%d", n))
		fine := maps.Equal(got, contentsOf(s.snapshots[n-1].Packages[arch]))
		if n > s.committed {
			fine = fine || maps.Equal(got, contentsOf(s.abandoned.Packages[arch]))
		}
		if !fine {
			t.Errorf("snapshot %d (committed: %d) is %v", n, s.committed, got)
		}
	}
	shown := current(t, tree)
	if shown < least || shown > s.committed {
		t.Errorf("the stable address shows %d; it had shown %d, committed is %d", shown, least, s.committed)
	}
	if shown > 0 {
		wantSeen(t, tree, ".", shown, s.snapshots[shown-1].Packages[arch]...)
	}
	return shown
}

// After a death at any operation, what readers see is whole, and a restart brings
// the tree to the database's state.
func TestDeathAtEveryOperation(t *testing.T) {
	everyOperation(t, func(op, dead int) error {
		if op >= dead {
			return errors.New("the process is dead")
		}
		return nil
	})
}

// A disk that is full for one operation costs no more than another try.
func TestDiskFullAtEveryOperation(t *testing.T) {
	everyOperation(t, func(op, full int) error {
		if op == full {
			return syscall.ENOSPC
		}
		return nil
	})
}

func everyOperation(t *testing.T, fault func(op, at int) error) {
	artifacts := memory(t)
	for at := 1; ; at++ {
		s, dir, ops := newStory(t, artifacts), memory(t), 0
		d, err := durable.Open(dir, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.MkdirAll(reposDir, 0o755); err != nil {
			t.Fatal(err)
		}
		shaky := hooked(t, dir, Plain{}, func(op, name string) error {
			ops++
			if err := fault(ops, at); err != nil {
				return fmt.Errorf("operation %d: %w", ops, err)
			}
			return nil
		})
		err = s.run(t.Context(), shaky)
		shown := s.check(t, shaky, 0)
		if err := s.run(t.Context(), openTree(t, dir, Plain{})); err != nil {
			t.Fatalf("after operation %d (%v): %v", at, err, err)
		}
		s.check(t, shaky, shown)
		wantSeen(t, shaky, ".", 4, s.current().Packages[arch]...)
		wantTidy(t, dir)
		if t.Failed() {
			t.Fatalf("after operation %d", at)
		}
		d.Close()
		os.RemoveAll(dir)
		if err == nil && ops < at {
			t.Logf("%d operations", ops)
			return
		}
	}
}

func wantTidy(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if strings.HasPrefix(e.Name(), durable.TempPrefix) && !strings.Contains(name, packagesDir) { // those are retention's
			t.Errorf("%s is left", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
