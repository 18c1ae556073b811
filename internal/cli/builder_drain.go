package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func drainCommand(s Streams) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use:   "drain name...",
		Short: "let builders end what they build, and give them nothing new",
		Long: `Drain builders: what they build they end, and they get nothing new until they are
resumed, through restarts of anything. A machine that list_builders shows with all
slots free may be switched off. The farm drains a builder itself on which one job
after the other goes wrong that others can build. It needs the capability
server_admin.

` + exitCodes,
		Example:           `  plague builder drain builder7 --why "new disk on Monday"`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeBuilders,
		RunE: onBuilders(s, func(c *client, ctx context.Context, name string) (string, error) {
			return c.DrainBuilder(ctx, wire.Drain{Name: name, Why: why})
		}),
	}
	c.Flags().StringVar(&why, "why", "", "reason, in one line, for whoever looks at the builder")
	return c
}

func resumeCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "resume name...",
		Short: "give drained builders work again",
		Long: `End the drain of builders, whoever began it. What happened on them before does not
count against them any more. It needs the capability server_admin.

` + exitCodes,
		Example:           "  plague builder resume builder7",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeBuilders,
		RunE:              onBuilders(s, (*client).ResumeBuilder),
	}
}

func removeCommand(s Streams) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use:   "remove name...",
		Short: "take builders that joined by a token out of the farm",
		Long: `Remove builders that joined by a token: they are builders no more, all their
certificates are revoked and their connections closed within seconds, and what they
were building is built elsewhere at once. Drain a builder first to let it end what it
builds. It can come back with a new token. One that is in the server's option builders
is taken out there, and by update_builders. It needs the capability server_admin.

` + exitCodes,
		Example:           `  plague builder remove builder7 --why "sold"`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeBuilders,
		RunE: onBuilders(s, func(c *client, ctx context.Context, name string) (string, error) {
			return c.RemoveBuilder(ctx, wire.Drain{Name: name, Why: why})
		}),
	}
	c.Flags().StringVar(&why, "why", "", "reason, in one line, for the audit trail")
	return c
}

// onBuilders makes a call for each builder of the command line.
func onBuilders(s Streams, do func(*client, context.Context, string) (string, error)) func(*cobra.Command, []string) error {
	return withClient(func(ctx context.Context, c *client, names []string) error {
		var failed []error
		for _, name := range names {
			message, err := do(c, ctx, name)
			if err != nil && passing(err) {
				return errors.Join(append(failed, err)...)
			}
			if err != nil {
				failed = append(failed, err)
				continue
			}
			fmt.Fprintln(s.Out, oneLine(message))
		}
		return errors.Join(failed...)
	})
}

// completeBuilders offers the names of the farm's builders; what goes wrong offers none.
func completeBuilders(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	offer := withClient(func(ctx context.Context, c *client, _ []string) error {
		all, err := c.ListBuilders(ctx)
		for _, b := range all {
			if strings.HasPrefix(b.Name, begun) {
				names = append(names, b.Name)
			}
		}
		return err
	})
	if offer(cmd, nil) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
