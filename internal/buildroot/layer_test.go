package buildroot

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Builds that end together trim the layers that they share together, and make new
// ones: none takes what another has just removed for a trouble, or for its own.
func TestTrimmedByMany(t *testing.T) {
	n := &Native{Cache: t.TempDir(), Layers: 3}
	key := func(i int) string { return fmt.Sprintf("%032x", i) }
	for i := range 300 {
		if err := os.MkdirAll(filepath.Join(n.Cache, "layers", key(i), "root", "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var g errgroup.Group
	for range 8 {
		g.Go(n.trim)
	}
	for i := range 8 {
		g.Go(func() error {
			l, _, err := n.layer(t.Context(), key(i), func(dir string) error { return os.MkdirAll(filepath.Join(dir, "root", "etc"), 0o755) })
			if err != nil {
				return err
			}
			defer l.release()
			_, err = os.Stat(filepath.Join(l.root(), "etc"))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(n.Cache, "layers", "*"))
	if err != nil || len(left) > 2*(n.Layers+8) { // a layer and its lock each
		t.Errorf("%d files and folders are left, %v", len(left), err)
	}
}
