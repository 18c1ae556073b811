package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"plague/internal/store/storetest"
)

// durable gives a database of a PostgreSQL whose commits reach the disk.
func durable(b *testing.B) string {
	b.Helper()
	c, err := storetest.Start(true)
	if errors.Is(err, storetest.ErrAbsent) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Stop() })
	return c.Database(b)
}

// BenchmarkFsync is what the disk itself needs to keep 4 KiB: no durable
// commit is quicker.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSubmit is how many jobs clients submit in a second, each on the
// disk when its call returns.
func BenchmarkSubmit(b *testing.B) {
	for _, name := range []string{"sqlite", "postgres"} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, clients), func(b *testing.B) {
				f := benchFarm(b, name)
				n := newJob("package", "1")
				f.must(f.AddUpload(f.ctx, f.now, n.User, n.SRPM, 1))
				var left, number atomic.Int64
				left.Store(int64(b.N))
				var acts []func() error
				for range clients {
					acts = append(acts, func() error {
						for left.Add(-1) >= 0 {
							mine := n
							mine.Package = fmt.Sprint("package", number.Add(1))
							if _, err := f.Submit(f.ctx, f.now, mine); err != nil {
								return err
							}
						}
						return nil
					})
				}
				b.ResetTimer()
				began := time.Now()
				for _, err := range together(acts...) {
					f.must(err)
				}
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "jobs/s")
			})
		}
	}
}

// BenchmarkWalk is what a job costs from its submission until it waits to be
// published, after 200,000 of the past: every index of jobs has its share.
func BenchmarkWalk(b *testing.B) {
	for _, name := range []string{"sqlite", "postgres"} {
		b.Run(name, func(b *testing.B) {
			f := benchFarm(b, name)
			f.must(f.AddHistory(f.ctx, f.now, target, "x86_64", 200_000))
			for i := 0; b.Loop(); i++ {
				f.done(f.submit(newJob(fmt.Sprint("walk", i), "1")), "x86_64")
			}
		})
	}
}
