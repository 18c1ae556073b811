package buildroot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/rpm"
)

// Null is no buildroot: no tree, no sandbox, no rpmbuild. It answers each build
// with RPMs that fit the source package and hold nothing, so that `plague bench`
// measures the farm and not the compiler. No farm that serves anybody uses it.
type Null struct{}

// NullBegun begins the line of job.log that tells when a build began: the rest
// of it is a time in time.RFC3339Nano.
const NullBegun = "null buildroot: begun "

// maxSubpackages keeps a name from filling the disk.
const maxSubpackages = 9_999

// Build makes one RPM, or n+1 of them for a package whose name ends in "-x<n>".
func (Null) Build(ctx context.Context, s Spec, log Log, out string, phase func(string)) (Result, error) {
	fmt.Fprintln(log.Job, NullBegun+time.Now().UTC().Format(time.RFC3339Nano))
	res := Result{}
	step := func(p plague.Phase) { res.Phase = string(p); phase(res.Phase) }
	step(plague.PhasePrepping)
	src, err := nullSource(s.SRPM)
	if err != nil {
		return res, fmt.Errorf("null buildroot: %w", err)
	}
	step(plague.PhaseBuilding)
	for _, b := range nullRPMs(src, s.Arch) {
		if err := writeNew(filepath.Join(out, b.Filename()), b.Bytes()); err != nil {
			return res, fmt.Errorf("null buildroot: %w", err)
		}
		res.RPMs = append(res.RPMs, b.Filename())
	}
	step(plague.PhaseCleanup)
	return res, ctx.Err()
}

func nullSource(file string) (*rpm.Header, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return rpm.ReadHeader(f)
}

// nullRPMs are what the source package becomes.
func nullRPMs(src *rpm.Header, arch string) []rpm.Blank {
	n := src.NEVRA()
	if slices.Equal(src.BuildArchs(), []string{rpm.Noarch}) {
		arch = rpm.Noarch
	}
	source := n.NVR() + ".src.rpm"
	n.Arch = arch
	all := []rpm.Blank{{NEVRA: n, SourceRPM: source}}
	_, count, _ := strings.Cut(n.Name, "-x")
	more, err := strconv.ParseUint(count, 10, 16)
	for i := uint64(1); err == nil && i <= min(more, maxSubpackages); i++ {
		sub := n
		sub.Name = fmt.Sprintf("%s-%d", n.Name, i)
		all = append(all, rpm.Blank{NEVRA: sub, SourceRPM: source})
	}
	return all
}
