package farmtest

import (
	"context"
	"hash/fnv"
	"strings"

	"plague"
	"plague/internal/wire"
)

// liar stands before a builder's door and reports what the builder did not do.
type liar struct {
	wire.Syncer
	w *World
}

// Sync hands on the orders and spoils the report.
func (l liar) Sync(ctx context.Context, o plague.Orders) (plague.Report, error) {
	r, err := l.Syncer.Sync(ctx, o)
	for i := range r.Attempts {
		l.spoil(&r.Attempts[i])
	}
	return r, err
}

// spoil tells one lie about an attempt, the same each time.
func (l liar) spoil(a *plague.AttemptReport) {
	if a.Phase != plague.PhaseDone || l.w.settled() {
		return
	}
	at := 0
	for i, f := range a.Artifacts {
		if strings.HasSuffix(f.Name, ".rpm") {
			at = i
		}
	}
	sum := fnv.New32a()
	sum.Write([]byte(a.Token))
	files := append([]plague.Artifact(nil), a.Artifacts...)
	f := &files[at]
	switch sum.Sum32() % 7 {
	case 0:
		f.Digest = strings.Repeat("0", 64)
	case 1:
		f.Name = "../" + f.Name
	case 2:
		f.Name = "other-1-1.x86_64.rpm"
	case 3:
		files = append(files, plague.Artifact{Name: "evil.sh", Digest: f.Digest, Size: f.Size})
	case 4:
		f.Size++
	case 5:
		files = nil
	default:
		return // honest this time
	}
	l.w.lied(a.ArchJob)
	a.Artifacts = files
}
