package cli

import (
	"context"
	"fmt"
	"strconv"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func priorityCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "priority number uid...",
		Short: "have jobs go before others, or let others go first",
		Long: fmt.Sprintf(`Change the priority of jobs that have not come to rest: the higher goes first, and
most jobs have 0. Anybody may let his own jobs wait; a priority above 0, and the
jobs of others, need the capability server_admin. From -1 down a job is in the
background: it takes the slots that others leave, and after a day counts as 0.

%s`, exitCodes),
		Example: fmt.Sprintf("  plague-client priority -- %d 12 13\n  plague-client priority 10 14", plague.Background),
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[0])
			if err != nil {
				return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q is no priority", args[0]), fmt.Sprintf("it is a number from %d to %d, before the jobs", -plague.MaxPriority, plague.MaxPriority))
			}
			return onEach(s, func(c *client, ctx context.Context, uid plague.JobID) (string, error) {
				return c.SetPriority(ctx, wire.Reorder{Uid: uid, Priority: number})
			})(c, args[1:])
		},
	}
}
