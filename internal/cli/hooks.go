package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func hooksCommand(s Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "hooks [name]",
		Short: "show how the hooks are, or the last answers of one",
		Long: `Show the hooks of the server's configuration: how far behind each is, and when it
is tried again if it failed. With a name its last answers, the newest first. It
needs the capability server_admin.

` + exitCodes,
		Example:           "  plague hooks releng",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeHooks,
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			if len(args) == 1 {
				h, err := c.Hook(ctx, args[0])
				return shown(s, err, asJSON, h, showHook)
			}
			all, err := c.Hooks(ctx)
			return shown(s, err, asJSON, all, showHooks)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

// completeHooks offers the names of hooks to those who may see them.
func completeHooks(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	offer := withClient(func(ctx context.Context, c *client, _ []string) error {
		all, err := c.Hooks(ctx)
		for _, h := range all {
			if strings.HasPrefix(h.Name, begun) {
				names = append(names, h.Name)
			}
		}
		return err
	})
	if len(args) == 0 && offer(cmd, nil) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// shown shows what a call has given, if it has.
func shown[T any](s Streams, err error, asJSON bool, v T, show func(screen, T)) error {
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(s.Out, v)
	}
	show(newScreen(s.Out), v)
	return nil
}

func showHooks(s screen, all []wire.HookRecord) {
	for _, h := range all {
		fmt.Fprintf(s, "%s: %s\n", oneLine(h.Name), hookState(h))
	}
	if len(all) == 0 {
		fmt.Fprintln(s, "no hook is configured")
	}
}

func hookState(h wire.HookRecord) string {
	switch {
	case h.Tries > 0:
		return fmt.Sprintf("failed %d times in a row, tried again at %s; %d events behind", h.Tries, when(h.Due), h.Behind)
	case h.Behind > 0:
		return fmt.Sprintf("%d events behind", h.Behind)
	}
	return "up to date"
}

func showHook(s screen, h wire.HookDetail) {
	showHooks(s, []wire.HookRecord{h.HookRecord})
	for _, a := range h.Answers {
		text := fmt.Sprintf("status %d", a.Status)
		if a.Error != "" {
			text = a.Error
		}
		fmt.Fprintf(s, "  %s event %d: %s (%s)\n", when(a.At), a.Event, oneLine(text), a.Took.Round(time.Millisecond))
	}
}
