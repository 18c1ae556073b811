package cli

import (
	"context"
	"fmt"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func mailCommand(s Streams) *cobra.Command {
	var user string
	var outbox, asJSON bool
	c := &cobra.Command{
		Use:   "mail [all|failures|none]",
		Short: "choose of which of your jobs you get mail",
		Long: `Show of which of your jobs you get mail, or choose: of all that succeed, fail, are
killed or released; of failures, and requests that were refused; or of none.
Another user's choice needs the capability modify_users. With --outbox the mails
that wait for the mail server, which needs server_admin.

` + exitCodes,
		Example:           "  plague mail failures\n  plague mail none --user robot@example.com",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions([]string{"all", "failures", "none"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			switch {
			case outbox && (len(args) > 0 || user != ""):
				return plague.Refuse(plague.ErrInvalid, "--outbox is for the whole farm: it goes with no choice and no --user", "")
			case outbox:
				all, err := c.Outbox(ctx)
				return shown(s, err, asJSON, all, showOutbox)
			case len(args) == 1:
				said, err := c.SetMailChoice(ctx, wire.MailChoice{Email: user, Choice: args[0]})
				return shown(s, err, asJSON, said, showLine)
			}
			choice, err := c.MailChoice(ctx, user)
			return shown(s, err, asJSON, choice, showLine)
		}),
	}
	c.Flags().StringVar(&user, "user", "", "of the user with this `e-mail`")
	c.Flags().BoolVar(&outbox, "outbox", false, "show the mails that wait")
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	_ = c.RegisterFlagCompletionFunc("user", cobra.NoFileCompletions)
	return c
}

func showLine(s screen, text string) { fmt.Fprintln(s, oneLine(text)) }

func showOutbox(s screen, all []wire.OutboxRecord) {
	for _, m := range all {
		state := "due " + when(m.Due)
		if m.Tries > 0 {
			state = fmt.Sprintf("tried %d times, again at %s: %s", m.Tries, when(m.Due), m.Error)
		}
		fmt.Fprintf(s, "event %d to %s: %s; %s\n", m.Event, oneLine(m.To), oneLine(m.Subject), oneLine(state))
	}
	if len(all) == 0 {
		fmt.Fprintln(s, "no mail waits")
	}
}
