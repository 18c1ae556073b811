package cli

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary answer to the program's names, so that scripts
// run the real thing as a process of its own.
func TestMain(m *testing.M) {
	program := func() {
		os.Exit(Main(context.Background(), os.Args, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	names := map[string]func(){}
	for _, name := range []string{
		"plague", "plague-client", "plague-user-manager", "plague-user-manager.py", "plague-server", "plague-builder", "plague-certhelper", "certhelper.py",
	} {
		names[name] = program
	}
	testscript.Main(m, names)
}
