package repo

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"plague/internal/durable"
)

// BenchmarkVerify shows that the check of a snapshot grows with its length and no
// faster. Real packages have several times the metadata of those by Plain.
func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var ps []Package
			for i := range n {
				name := fmt.Sprintf("p%05d-1-1.noarch.rpm", i)
				ps = append(ps, Package{Job: int64(i + 1), Arch: "noarch", File: name, Digest: sha256.Sum256([]byte(name))})
			}
			out := b.TempDir()
			if err := (Plain{}).Make(b.Context(), MakeInput{Packages: ps, Out: out, Revision: 1}); err != nil {
				b.Fatal(err)
			}
			d, err := durable.Open(filepath.Dir(out), 0o755)
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			want := contentsOf(ps)
			for b.Loop() {
				if _, err := verify(b.Context(), d, filepath.Base(out), want, 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/package")
		})
	}
}
