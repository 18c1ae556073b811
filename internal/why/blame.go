package why

import (
	"context"
	"errors"

	"plague"
	"plague/internal/buildlog"
)

// maxBlames is how many arches of a job an answer looks into.
const maxBlames = 16

// Blames says why the arches of a run failed.
func (a *Asker) Blames(ctx context.Context, j plague.Job, run int) ([]plague.Blame, error) {
	all, err := a.DB.ArchJobs(ctx, j.UID, run)
	if err != nil {
		return nil, err
	}
	var blames []plague.Blame
	for _, one := range all {
		if one.State != plague.ArchFailed || len(blames) == maxBlames {
			continue
		}
		b, err := a.blame(ctx, j, one)
		if err != nil {
			return nil, err
		}
		blames = append(blames, b)
	}
	return blames, nil
}

func (a *Asker) blame(ctx context.Context, j plague.Job, one plague.ArchJob) (plague.Blame, error) {
	b := plague.Blame{Arch: one.Arch, Builder: one.Builder, Kind: one.FailureKind, Phase: one.FailurePhase, Reason: one.Reason}
	if one.Attempt == 0 {
		return b, nil
	}
	b.Logs = a.LogDir(j, one)
	b.Error, b.Tail = logsOf(a.Results, b.Logs)
	for i, line := range b.Tail {
		b.Tail[i] = buildlog.Readable(line)
	}
	now := installed(a.Results, b.Logs)
	if now == nil {
		return b, nil
	}
	good, of, err := a.DB.LastGood(ctx, j, one)
	if errors.Is(err, plague.ErrNotFound) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	if before := installed(a.Results, a.LogDir(of, good)); before != nil {
		b.Good, b.Changes = of.UID, changes(before, now)
	}
	return b, nil
}
