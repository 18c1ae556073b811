package cli

import (
	"context"
	"fmt"
	"strings"

	"plague/internal/wire"

	"github.com/spf13/cobra"
)

// listBuildersCommand is list_builders, and `builder list`.
func listBuildersCommand(s Streams, name string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   name,
		Short: "list the builders",
		Long: `List the builders: whether they answer, their free slots, and the arches they
build for.

` + exitCodes,
		Example: "  plague list_builders",
		Args:    cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error {
			all, err := c.ListBuilders(ctx)
			if err != nil {
				return err
			}
			return showBuilders(s, all, asJSON)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func updateBuildersCommand(s Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "update_builders",
		Short: "have the server read its builders again, and list them",
		Long: `Have the server read the option builders of its configuration again, ask each
builder at once whether it is there, and list them. What a builder that is in it no
more was building is built elsewhere. Other options wait for a restart. It needs the
capability server_admin.

` + exitCodes,
		Example: "  plague-client update_builders",
		Args:    cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error {
			all, err := c.UpdateBuilders(ctx)
			if err != nil {
				return err
			}
			return showBuilders(s, all, asJSON)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func showBuilders(s Streams, all []wire.BuilderRecord, asJSON bool) error {
	if asJSON {
		return printJSON(s.Out, all)
	}
	if screen := newScreen(s.Out); screen.terminal() {
		showBuilderTable(screen, all)
		return nil
	}
	for _, b := range all {
		fmt.Fprintf(s.Out, "%s (%s): %s, %d of %d slots free, %s\n",
			oneLine(b.Address), oneLine(b.Name), builderState(b), b.FreeSlots, b.NumSlots, oneLine(strings.Join(b.Arches, " ")))
	}
	return nil
}

// builderState says in one phrase whether a builder takes work.
func builderState(b wire.BuilderRecord) string {
	switch {
	case b.Suspended != "":
		return "suspended: " + oneLine(b.Suspended)
	case b.Alive:
		return "alive"
	case b.Seen == 0:
		return "away: it has never answered"
	}
	return "away since " + when(b.Seen)
}

func showBuilderTable(s screen, all []wire.BuilderRecord) {
	var rows [][]cell
	for _, b := range all {
		state := builderState(b)
		word, _, _ := strings.Cut(strings.ReplaceAll(state, ":", " "), " ")
		rows = append(rows, []cell{
			{text: oneLine(b.Name)}, {text: oneLine(b.Address)}, {text: fmt.Sprintf("%d/%d", b.FreeSlots, b.NumSlots)},
			{text: oneLine(strings.Join(b.Arches, " "))}, {text: state, state: word},
		})
	}
	s.table([]string{"NAME", "ADDRESS", "FREE", "ARCHES", "STATE"}, rows)
}
