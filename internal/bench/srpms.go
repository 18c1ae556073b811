package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"plague/internal/rpm"
	"plague/internal/wire"

	"golang.org/x/sync/errgroup"
)

// maxClients is how many connections bring the SRPMs to the server, and submit
// at a time where many do.
const maxClients = 16

// srpm writes a tiny source package and gives its path.
func srpm(dir, name, version string) (string, error) {
	b := rpm.Blank{NEVRA: rpm.NEVRA{Name: name, EVR: rpm.EVR{Version: version, Release: "1"}}}
	file := filepath.Join(dir, fmt.Sprintf("%s-%s-1.src.rpm", name, version))
	return file, os.WriteFile(file, b.Bytes(), 0o644)
}

// uploaded brings n source packages of different versions to a farm, so that
// what is measured afterwards is the farm and not the line.
func (f *Farm) uploaded(ctx context.Context, name string, n int) ([]wire.Submission, error) {
	dir, err := os.MkdirTemp(f.Dir, "srpms-")
	if err != nil {
		return nil, err
	}
	all := make([]wire.Submission, n)
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(maxClients, n) {
		g.Go(func() error {
			c, err := f.Client()
			if err != nil {
				return err
			}
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				file, err := srpm(dir, fmt.Sprint(name, i+1), "1")
				if err != nil {
					return err
				}
				if all[i], err = c.Upload(ctx, file); err != nil {
					return fmt.Errorf("upload: %w", err)
				}
			}
			return nil
		})
	}
	return all, g.Wait()
}
