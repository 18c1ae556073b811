package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
)

func usersCommand(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "user add|modify|delete|list|find [argument...]",
		Short: "say who may use the build system, through its server",
		Long: `Say who may use the build system, and what for, from any machine: as user-manager
does in the farm's database. It needs the capability modify_users; the last user
who has that keeps it. It takes effect at once.

  add email capability...           a new user
  modify email +capability -capability...
  delete email
  list                              all users
  find pattern                      users whose e-mail has it; * and ? stand for anything

All take --json.

` + exitCodes,
		Example: `  plague user add packager@example.com own_jobs
  plague user modify packager@example.com +kill_any_job -own_jobs`,
		// -own_jobs is no flag.
		DisableFlagParsing: true,
		ValidArgs:          []string{"add", "modify", "delete", "list", "find"},
	}
	through := withClient(func(ctx context.Context, server *client, args []string) error {
		u, err := parseVerb(c, &userCommand{}, args)
		if err != nil {
			return err
		}
		return u.do(ctx, s, server)
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
			return cmd.Help()
		}
		return through(cmd, args)
	}
	return c
}
