// Package cli is the command line: commands, flags, configuration files, and
// the wiring of all other rooms. It alone reads flags, the environment and
// files of configuration.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"plague/internal/sandbox"
	"plague/internal/source"
	"plague/internal/wire"
)

// Streams are what a command reads and writes: results on Out, everything
// else on Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Main runs the program under the name it was called by and gives its exit
// code. The names of 2005 are commands of their own, with their own usage.
func Main(ctx context.Context, args []string, s Streams) int {
	if handled, code := source.Main(args); handled {
		return code
	}
	if handled, code := sandbox.Main(args); handled {
		return code
	}
	name, rest := filepath.Base(args[0]), args[1:]
	switch strings.TrimSuffix(name, ".py") {
	case "plague-certhelper", "certhelper":
		return certhelper(ctx, rest, s.In, s.Out, s.Err)
	case "plague-server":
		rest = append([]string{"server"}, rest...)
	case "plague-builder":
		rest = append([]string{"builder"}, rest...)
	case "plague-user-manager":
		rest = append([]string{"user-manager"}, rest...)
	case "plague-client":
		name = "plague-client"
	default:
		name = "plague"
	}
	return run(ctx, name, rest, s)
}

// run runs a command and says what went wrong, once.
func run(ctx context.Context, name string, args []string, s Streams) int {
	root := rootCommand(name, s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var quiet exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &quiet):
		return int(quiet)
	}
	fmt.Fprintf(s.Err, "%s: %v\n", name, err)
	return wire.Exit(err)
}

// exitCode is an error that has been said already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
