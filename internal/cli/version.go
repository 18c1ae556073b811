package cli

import (
	"fmt"
	"runtime/debug"

	"plague/internal/wire"

	"github.com/spf13/cobra"
)

// version is the release, and the commit where there was one.
func version() string {
	text := wire.Release()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	for _, v := range info.Settings {
		if v.Key == "vcs.revision" {
			text += " " + v.Value
		}
	}
	return text
}

func versionCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "say which version this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(s.Out, "plague", version())
			return err
		},
	}
}
