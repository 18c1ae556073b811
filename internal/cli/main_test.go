package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"plague/internal/sandbox"
)

// TestMain makes the test binary answer to the program's names, so that scripts
// and farms of the tests run the real thing as processes of its own.
func TestMain(m *testing.M) {
	if handled, code := sandbox.Main(os.Args); handled {
		syscall.Exit(code) // not os.Exit, in which the race detector waits a second for stragglers
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else -race makes each program wait a second at its end
	program := func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Args, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	names := map[string]func(){}
	for _, name := range []string{
		"plague", "plague-client", "plague-user-manager", "plague-user-manager.py", "plague-server", "plague-builder", "plague-certhelper", "certhelper.py",
	} {
		names[name] = program
	}
	testscript.Main(m, names)
}
