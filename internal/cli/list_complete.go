package cli

import (
	"context"
	"strings"

	"plague"

	"github.com/spf13/cobra"
)

// completeList offers states and targets to the shell. A flag that is not there
// would be a mistake of this program, which the tests of completion find.
func completeList(c *cobra.Command) {
	var states []string
	for _, s := range plague.JobStates() {
		states = append(states, string(s))
	}
	_ = c.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(states, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("target", completeTargets)
	for _, free := range []string{"user", "package", "since", "until", "before", "after", "limit"} {
		_ = c.RegisterFlagCompletionFunc(free, cobra.NoFileCompletions)
	}
}

// completeTargets offers the targets of the farm, and their aliases.
func completeTargets(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	offer := withClient(func(ctx context.Context, c *client, _ []string) error {
		all, err := c.Targets(ctx)
		for _, t := range all {
			for _, name := range append([]string{t.Target}, t.Aliases...) {
				if strings.HasPrefix(name, begun) {
					names = append(names, name)
				}
			}
		}
		return err
	})
	if offer(cmd, nil) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
