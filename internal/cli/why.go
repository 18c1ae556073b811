package cli

import (
	"context"
	"fmt"

	"plague"

	"github.com/spf13/cobra"
)

func whyCommand(s Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "why uid",
		Short: "say what a job waits for, why it failed, or who killed it",
		Long: `Say why a job is as it is.

One that waits: for what, which builders would do and what they do now, its place in
the queue, and between when and when it should begin, as builds of this farm went so
far. Users who run least go first, then who submitted first; background jobs let all
others go first for a day.

One that failed: whether the package is to blame or the farm, on which arch and in
which phase, the first line of its logs that names an error, and what has changed in
the buildroot since the package's last good build.

` + exitCodes,
		Example: "  plague-client why 12",
		Args:    cobra.ExactArgs(1),
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			uids, err := jobIDs(args)
			if err != nil {
				return err
			}
			w, err := c.Why(ctx, uids[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.Out, w)
			}
			showWhy(newScreen(s.Out), w)
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func showWhy(s screen, w plague.Why) {
	fmt.Fprintf(s, "%d: %s: %s\n", w.Job, s.state(string(w.State), string(w.State)), oneLine(w.Short))
	for _, line := range w.Lines() {
		fmt.Fprintln(s, "  "+oneLine(line))
	}
}
