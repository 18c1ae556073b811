package cli

import (
	"context"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func repoCommand(s Streams) *cobra.Command {
	c := &cobra.Command{Use: "repo", Short: "change what is in a repository", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	add(c, "", []*cobra.Command{retireCommand(s)})
	return c
}

func retireCommand(s Streams) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use:   "retire uid...",
		Short: "take the packages of published jobs out of their repository",
		Long: `Take the packages of published jobs out of their repository: the next snapshot is
without them. Builds that run keep the snapshot they began with. The jobs and their
results stay; their name, version and release cannot be used again: publish a
higher release. It needs the capability server_admin.

` + exitCodes,
		Example: `  plague repo retire 12 --why "deletes its own configuration"`,
		Args:    cobra.MinimumNArgs(1),
		RunE: onEach(s, func(c *client, ctx context.Context, uid plague.JobID) (string, error) {
			return c.Retire(ctx, wire.Retirement{Uid: uid, Why: why})
		}),
	}
	c.Flags().StringVar(&why, "why", "", "reason, in one line, for whoever looks at the job")
	return c
}
