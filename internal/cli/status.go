package cli

import (
	"context"
	"fmt"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func statusCommand(s Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "say how the farm as a whole is",
		Long: `Say how the farm as a whole is: whether it is paused, how many jobs are in each
state, its builders with their slots, and which job has waited for longest.

` + exitCodes,
		Example: "  plague status --json",
		Args:    cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.Out, st)
			}
			showStatus(newScreen(s.Out), st)
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func showStatus(s screen, st wire.FarmStatus) {
	if st.Paused {
		fmt.Fprintf(s, "paused by %s: jobs wait\n", oneLine(st.PausedBy))
	}
	fmt.Fprintf(s, "builders: %d of %d answer, %d suspended; %d of %d slots free\n", st.Alive, st.Builders, st.Suspended, st.FreeSlots, st.Slots)
	if st.Configuration != "" {
		fmt.Fprintf(s, "the server goes on with its old configuration: %s\n", oneLine(st.Configuration))
	}
	for _, state := range plague.JobStates() {
		if n := st.Jobs[string(state)]; n > 0 {
			fmt.Fprintf(s, "%9d %s\n", n, s.state(string(state), string(state)))
		}
	}
	if st.MailsLate > 0 {
		fmt.Fprintf(s, "%d mails could not be sent yet: `plague mail --outbox` says why\n", st.MailsLate)
	}
	if st.HooksLate > 0 {
		fmt.Fprintf(s, "%d hooks do not answer as they should: `plague hooks` says which\n", st.HooksLate)
	}
	for _, u := range st.Unmet {
		fmt.Fprintf(s, "%s\n", oneLine(u))
	}
	if st.OldestWaiting != 0 {
		fmt.Fprintf(s, "job %d has waited since %s\n", st.OldestWaiting, when(st.WaitingSince))
	}
}
