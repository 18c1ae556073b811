package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"plague"
	"plague/internal/wire"
)

// chaosSource is one, and how its job has to end.
type chaosSource struct {
	file string
	ends plague.JobState
}

// packages makes the source packages; one in eight fails in %build.
func (c *chaos) packages(n int) []chaosSource {
	all := make([]chaosSource, n)
	for i := range all {
		name := fmt.Sprintf("chaos%02d", i)
		all[i].ends = plague.JobNeedSign
		shell := fmt.Sprintf("sleep %.1f", 2*c.random.Float64())
		if i%8 == 7 {
			all[i].ends = plague.JobFailed
			shell += "\nexit 7"
		}
		all[i].file = tinySRPM(c.t, name, shell)
	}
	return all
}

// submitAll submits each package until the farm has it. A call whose answer was
// lost is made again, and is then refused as one that is in progress already:
// which job that is, its package tells.
func (c *chaos) submitAll(ctx context.Context, all []chaosSource) error {
	for _, s := range all {
		select {
		case <-c.due:
		case <-ctx.Done():
			return ctx.Err()
		}
		name := strings.TrimSuffix(filepath.Base(s.file), "-1-1.src.rpm")
		for {
			_, errs, code := c.run("build", name, s.file, "devel")
			if code == 0 || code == 5 {
				break
			}
			if code != 6 && code != 1 || ctx.Err() != nil {
				return fmt.Errorf("build %s: exit %d, %s", name, code, errs)
			}
			<-time.After(100 * time.Millisecond)
		}
		uid, err := c.uid(ctx, name)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.want[uid] = s.ends
		c.mu.Unlock()
	}
	return nil
}

// uid finds the one job of a package.
func (c *chaos) uid(ctx context.Context, name string) (plague.JobID, error) {
	for {
		jobs, err := c.client.Jobs(ctx, wire.ListFilter{Package: name})
		if err == nil && len(jobs) == 1 {
			return jobs[0].Uid, nil
		}
		if err == nil || ctx.Err() != nil {
			return 0, fmt.Errorf("%s has %d jobs, want one (%w)", name, len(jobs), err)
		}
		<-time.After(100 * time.Millisecond)
	}
}
