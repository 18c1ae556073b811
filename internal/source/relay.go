package source

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
)

// Names under which this program runs again, and what the sandbox sees of it.
const (
	relayName = "/.plague-source-relay" // inside: also the place of the program
	relaySock = "/.plague-lookaside"    // inside: the only way out
	doorName  = "plague-source-door"    // outside
)

// relayAddress is where programs inside find the proxy, on a loopback of their own.
const relayAddress = "127.0.0.1:3128"

// Main is the other half of a Maker whose target allows make_srpm the network of
// its lookaside: called at the beginning of main with os.Args, it says whether
// this process was started for that, has then done its work and gives the exit
// code.
func Main(args []string) (handled bool, code int) {
	switch {
	case len(args) > 1 && args[0] == relayName:
		return true, relay(args[1:])
	case len(args) == 3 && args[0] == doorName:
		return true, keepDoor(args[1], args[2])
	}
	return false, 0
}

// relay runs a command beside a port of the sandbox's loopback that leads to the
// door outside. It ends with the command.
func relay(command []string) int {
	l, err := net.Listen("tcp", relayAddress)
	if err != nil {
		fmt.Println("relay:", err)
		return 126
	}
	go func() { // ends with the process
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go passOn(c)
		}
	}()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "http_proxy=http://"+relayAddress, "https_proxy=http://"+relayAddress)
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	case errors.As(err, &exit):
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()) // what shells say
	}
	fmt.Println("relay:", err)
	return 127
}

func passOn(inside net.Conn) {
	defer inside.Close()
	outside, err := net.Dial("unix", relaySock)
	if err != nil {
		return
	}
	join(inside, outside)
}

// join copies both ways until either side has ended.
func join(a, b net.Conn) {
	defer b.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(a, b) // a side that hangs up is the other's to notice
		a.Close()
	}()
	_, _ = io.Copy(b, a)
	if half, ok := b.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	<-back
}
