package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"plague/internal/artifact"
	"plague/internal/wire"
)

const (
	fetchTries = 5 // as the original had
	fetchIdle  = 30 * time.Second
)

// fetch brings the SRPM into the attempt's folder; stopped says that it was
// told to stop meanwhile.
func (b *Builder) fetch(ctx context.Context, a *attempt, dir string) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-a.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	srpm := a.record.Work.SRPM
	for try := range fetchTries {
		from := b.ServerURLs[try%len(b.ServerURLs)]
		err = wire.Fetch(ctx, b.Server, nil, from+wire.SRPMPath(srpm.Digest), b.SRPMs, srpm, fetchIdle)
		if err == nil {
			err = b.place(srpm.Digest, path.Join(dir, srpmFile))
		}
		if err == nil {
			return false, nil
		}
		t := time.NewTimer(time.Second << try)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		select {
		case <-a.stopping:
			return true, nil
		default:
		}
	}
	return false, fmt.Errorf("SRPM not fetched in %d tries: %w", fetchTries, err)
}

// place gives the SRPM its name in the attempt's folder. It leaves the store
// then: another attempt of the same job goes to another builder as a rule.
func (b *Builder) place(digest, name string) error {
	d, err := artifact.ParseDigest(digest)
	if err != nil {
		return err
	}
	if err := b.Work.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.Work.Adopt(b.SRPMs.Path(d), name); err != nil {
		return err
	}
	return b.SRPMs.Remove(d)
}
