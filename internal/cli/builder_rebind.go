package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"plague"
	"plague/internal/builder"
	"plague/internal/durable"

	"github.com/spf13/cobra"
)

func rebindCommand(s Streams) *cobra.Command {
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "rebind",
		Short: "let a builder obey another farm, or one that was restored",
		Long: `Make a builder forget which farm it obeyed, and the newest orders it had: the
next server that it trusts by its certificates is its farm. A builder refuses
another farm, and one that came back from a backup, until this was done; what it
still holds of the old one, the new one lets it drop.

The builder must not run meanwhile, and this needs root.

` + exitCodes,
		Example: `  systemctl stop plague-builder
  plague builder rebind
  systemctl start plague-builder`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := readBuilderConfig(config)
			if err != nil {
				return err
			}
			was, err := cfg.rebind()
			if err != nil {
				return err
			}
			return printRebound(s, was, asJSON)
		},
	}
	c.Flags().StringVarP(&config, "config", "c", defaultBuilderConfig, "configuration `file`")
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

// rebind gives what the builder obeyed before.
func (c *builderConfig) rebind() (was builder.Bound, err error) {
	if os.Geteuid() != 0 {
		return was, plague.Refuse(plague.ErrDenied, "the builder's folder is root's", "sudo plague builder rebind")
	}
	if _, err := os.Stat(filepath.Join(c.workDir, "daemon")); err != nil {
		return was, plague.Refuse(plague.ErrNotFound, fmt.Sprintf("no builder has run in %s (option work_dir)", c.workDir), "there is nothing to forget; -c names another configuration")
	}
	lock, err := exclusive(filepath.Join(c.workDir, wardenLock))
	if errors.Is(err, plague.ErrConflict) {
		return was, plague.Refuse(plague.ErrConflict, "the builder runs", "stop it first: systemctl stop plague-builder")
	}
	if err != nil {
		return was, err
	}
	defer lock.Close()
	folder, err := builder.OpenFolder(c.workDir, "daemon")
	if err != nil {
		return was, err
	}
	defer folder.Close()
	work, err := durable.Open(folder.Path(), 0o755)
	if err != nil {
		return was, err
	}
	defer work.Close()
	return builder.Rebind(work)
}

func printRebound(s Streams, was builder.Bound, asJSON bool) error {
	switch {
	case asJSON:
		return printJSON(s.Out, was)
	case was.Farm == "":
		fmt.Fprintln(s.Out, "The builder obeyed no farm yet.")
	default:
		fmt.Fprintf(s.Out, "The builder obeys farm %s (term %d) no more: the next that it trusts is its farm.\n", was.Farm, was.Term)
	}
	return nil
}
