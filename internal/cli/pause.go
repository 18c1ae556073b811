package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func isPausedCommand(s Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "is_paused",
		Short: "say whether the build server is paused",
		Long: `Say whether the build server is paused: jobs are accepted and wait then, and
what builds goes on. The exit code is 0 in both cases.

` + exitCodes,
		Example: "  plague-client is_paused --json",
		Args:    cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error {
			paused, err := c.IsPaused(ctx)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(s.Out, map[string]bool{"paused": paused})
			case paused:
				fmt.Fprintln(s.Out, "The build server is paused.")
			default:
				fmt.Fprintln(s.Out, "The build server is not paused.")
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func pauseCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "pause",
		Short: "let no more jobs begin",
		Long: `Pause the build server: jobs are accepted and wait, and what builds goes on. It
needs the capability server_admin.

` + exitCodes,
		Example: "  plague-client pause",
		Args:    cobra.NoArgs,
		RunE:    setPaused(s, true),
	}
}

func unpauseCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "unpause",
		Short: "let jobs begin again",
		Long: `Let the build server go on after a pause. It needs the capability server_admin.

` + exitCodes,
		Example: "  plague-client unpause",
		Args:    cobra.NoArgs,
		RunE:    setPaused(s, false),
	}
}

func setPaused(s Streams, paused bool) func(*cobra.Command, []string) error {
	return withClient(func(ctx context.Context, c *client, _ []string) error {
		message, err := c.SetPaused(ctx, paused)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.Out, oneLine(message))
		return err
	})
}
