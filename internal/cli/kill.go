package cli

import (
	"context"
	"errors"
	"fmt"

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
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			uids, err := jobIDs(args)
			if err != nil {
				return err
			}
			var failed []error
			for _, uid := range uids {
				message, err := c.Kill(ctx, uid)
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
		}),
	}
}
