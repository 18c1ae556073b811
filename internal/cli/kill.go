package cli

import (
	"context"
	"errors"
	"fmt"

	"plague"

	"github.com/spf13/cobra"
)

func killCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "kill uid...",
		Short: "kill jobs",
		Long: `Kill jobs: your own, or with the capability kill_any_job anybody's. A job can be
killed until it is published. Each is tried, whatever becomes of the others.

` + exitCodes,
		Example: "  plague-client kill 12 13",
		Args:    cobra.MinimumNArgs(1),
		RunE:    onEach(s, (*client).Kill),
	}
}

func requeueCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "requeue uid...",
		Short: "build failed or killed jobs once more",
		Long: `Begin another run of failed or killed jobs: your own, or with the capability
kill_any_job anybody's. Uid, source and target stay; attempts and logs of earlier
runs are kept. Each is tried, whatever becomes of the others.

` + exitCodes,
		Example: "  plague-client requeue 12 13",
		Args:    cobra.MinimumNArgs(1),
		RunE:    onEach(s, (*client).Requeue),
	}
}

func finishCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "finish uid...",
		Short: "say that jobs were signed and released elsewhere",
		Long: `End the wait of jobs in needsign: their packages were signed and released by
other means, and they become released. Your own need the capability own_jobs,
others' server_admin. Each is tried, whatever becomes of the others.

` + exitCodes,
		Example: "  plague-client finish 12 13",
		Args:    cobra.MinimumNArgs(1),
		RunE:    onEach(s, (*client).Finish),
	}
}

// onEach makes a call for each job of the command line.
func onEach(s Streams, do func(*client, context.Context, plague.JobID) (string, error)) func(*cobra.Command, []string) error {
	return withClient(func(ctx context.Context, c *client, args []string) error {
		uids, err := jobIDs(args)
		if err != nil {
			return err
		}
		var failed []error
		for _, uid := range uids {
			message, err := do(c, ctx, uid)
			if err != nil && passing(err) {
				return errors.Join(append(failed, err)...)
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("job %d: %w", uid, err))
				continue
			}
			fmt.Fprintln(s.Out, oneLine(message))
		}
		return errors.Join(failed...)
	})
}
