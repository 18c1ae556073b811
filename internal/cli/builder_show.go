package cli

import (
	"context"
	"fmt"
	"strings"

	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func showBuilderCommand(s Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show name",
		Short: "show one builder: how it is, what it builds, and what it built last",
		Long: `Show one builder: whether it takes work and if not why, what it builds for, what
runs on it, and how the attempts went that ended there last.

` + exitCodes,
		Example:           "  plague builder show builder7",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeBuilders,
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			b, err := c.Builder(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.Out, b)
			}
			showBuilder(newScreen(s.Out), b)
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func showBuilder(s screen, b wire.BuilderDetail) {
	state := builderState(b.BuilderRecord)
	word, _, _ := strings.Cut(state, ":")
	fmt.Fprintf(s, "%s: %s %s\n", oneLine(b.Name), oneLine(b.Address), s.state(word, state))
	line := func(name, value string) { fmt.Fprintf(s, "  %-9s %s\n", name+":", oneLine(value)) }
	line("arches", strings.Join(b.Arches, " "))
	if len(b.Targets) > 0 {
		line("targets", strings.Join(b.Targets, " "))
	}
	line("slots", fmt.Sprintf("%d of %d free", b.FreeSlots, b.NumSlots))
	if m := machineText(b.BuilderRecord); m != "" {
		line("machine", m)
	}
	if len(b.Labels) > 0 {
		line("labels", strings.Join(b.Labels, " "))
	}
	if b.Seen != 0 {
		line("seen", when(b.Seen))
	}
	if b.Mode == "active" {
		line("dialled", dialled(b.BuilderRecord))
	}
	for _, a := range b.Running {
		what := a.Status
		if a.Phase != "" {
			what += " (" + a.Phase + ")"
		}
		line("runs", fmt.Sprintf("job %d %s %s, attempt %d, %s since %s", a.Uid, a.Package, a.Arch, a.Attempt, what, when(a.Starttime)))
	}
	for _, a := range b.Ended {
		text := fmt.Sprintf("job %d %s %s, attempt %d, %s at %s", a.Uid, a.Package, a.Arch, a.Attempt, a.Status, when(a.Endtime))
		text += usedText(a.Used)
		if a.Reason != "" {
			text += ": " + a.Reason
		}
		line("ended", text)
	}
}

// dialled says from where a builder has dialled in.
func dialled(b wire.BuilderRecord) string {
	if b.DialledAt == 0 {
		return "not in to this server, which waits for it"
	}
	return "in from " + b.DialledFrom + " since " + when(b.DialledAt)
}
