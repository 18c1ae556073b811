// Plague is a build farm for RPM packages: server, builder, client and
// certificate authority in one program. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"plague/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
