// Package sourcetest gives tests real servers of source control systems.
package sourcetest

import (
	"context"
	"net"
	"os/exec"
	"sync"
	"testing"
)

// Serve runs a server's program for each connection to a port of the loopback.
func Serve(t *testing.T, args ...string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { answer(ctx, c.(*net.TCPConn), args) })
		}
	})
	t.Cleanup(func() { stop(); l.Close(); all.Wait() })
	return l.Addr().String()
}

func answer(ctx context.Context, c *net.TCPConn, args []string) {
	defer c.Close()
	f, err := c.File()
	if err != nil {
		return
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout = f, f
	_ = cmd.Run() // what it says is the client's business
}
