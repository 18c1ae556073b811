package cli

import (
	"cmp"
	"context"
	"fmt"

	"plague"

	"github.com/spf13/cobra"
)

func doctorCommand(s Streams) *cobra.Command {
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "say what a builder has, what it lacks, and the remedy",
		Long: `Look at this machine as a builder: its configuration, whether a sandbox can be made
and dnf run, its programs, accounts, disk, certificate, the server and the clock. It
changes nothing, and may be asked before the machine has joined and while it builds.
Each line is ok, a warning of something that keeps nothing from building yet, or what
is lacking, with a remedy. A running builder looks at the sandbox and the programs
itself, again and again, and takes no work while it lacks one.

Exit codes:
  0    nothing is lacking
  1    something is`,
		Example: "  sudo plague doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []finding
			lacks := false
			for _, check := range doctorOfBuilder(config) {
				f := check.run(cmd.Context())
				lacks = lacks || f.Verdict == verdictLacks
				all = append(all, f)
			}
			if err := showFindings(s, all, asJSON); err != nil {
				return err
			}
			if lacks {
				return exitCode(1)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&config, "config", "c", defaultBuilderConfig, "configuration `file`")
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func showFindings(s Streams, all []finding, asJSON bool) error {
	if asJSON {
		return printJSON(s.Out, all)
	}
	screen := newScreen(s.Out)
	for _, f := range all {
		verdict := screen.state(map[string]string{verdictOK: "alive", verdictWarns: "killed", verdictLacks: "failed"}[f.Verdict], fmt.Sprintf("%-5s", f.Verdict))
		fmt.Fprintf(screen, "%s %s: %s\n", verdict, f.Name, oneLine(cmp.Or(f.Seen, "nothing to see")))
		if f.Remedy != "" {
			fmt.Fprintf(screen, "      -> %s\n", oneLine(f.Remedy))
		}
	}
	return nil
}

// doctorOfBuilder lists what is looked at of a builder. Without a configuration that can
// be read it is the machine alone, as the defaults have it.
func doctorOfBuilder(file string) []checkup {
	c, err := readBuilderConfig(file)
	if err == nil {
		err = c.override(nil)
	}
	all := []checkup{{"configuration", func(context.Context) (string, error) { return file, err }}}
	if err != nil {
		c = machineDefaults()
	}
	all = append(all, c.place()...)
	all = append(all, c.machine(c.nearest())...)
	all = append(all, c.beside()...)
	if err == nil {
		all = append(all, c.farm()...)
	}
	return all
}

// rootOnly is what nobody else can find out.
func rootOnly() error {
	return plague.Refuse(plague.ErrDenied, "only root can find out, and be a builder", "sudo plague doctor")
}
