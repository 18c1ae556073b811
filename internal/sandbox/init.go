package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// initName is the name under which this program is the first process of a sandbox.
const initName = "plague-sandbox-init"

// Main is the other half of Native: called first in main with os.Args, it says
// whether this process is the first of a sandbox and, if so, has done all there
// was to do and gives the exit code.
func Main(args []string) (handled bool, code int) {
	if len(args) == 0 || args[0] != initName || os.Getpid() != 1 {
		return false, 0
	}
	// What is dropped below is dropped for one thread; the command is forked from it.
	runtime.LockOSThread()
	answer := os.NewFile(4, "report")
	rep, err := inside(os.NewFile(3, "order"))
	if err != nil {
		rep = report{Trouble: err.Error()}
	}
	if err := json.NewEncoder(answer).Encode(rep); err != nil {
		return true, 1
	}
	return true, 0
}

func inside(orders *os.File) (report, error) {
	// Nothing that some ancestor forgot to close is for the command's eyes.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return report{}, fmt.Errorf("close_range: %w", err)
	}
	var o order
	d := json.NewDecoder(orders)
	if err := d.Decode(&o); err != nil {
		return report{}, fmt.Errorf("read the order: %w", err)
	}
	go func() { // ends with the process: whoever gave the order is gone
		_, _ = io.Copy(io.Discard, orders)
		os.Exit(1)
	}()
	unix.Umask(0o022)
	if err := enter(o); err != nil {
		return report{}, err
	}
	if err := confine(o); err != nil {
		return report{}, err
	}
	return command(o)
}

// command starts the command and reaps everything until it has ended. What it
// leaves running ends with this process.
func command(o order) (report, error) {
	cmd := exec.Command(o.Args[0])
	if path, err := lookPath(o); err == nil {
		cmd.Path, cmd.Err = path, nil
	} else {
		cmd.Err = err
	}
	cmd.Args, cmd.Env = o.Args, o.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID), Groups: []uint32{}},
		Setsid:     true,
	}
	err := withMemory(o.Memory, func() (int, error) {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
	if errors.Is(err, syscall.ESRCH) { // it has ended already
		err = nil
	}
	if err != nil {
		fmt.Fprintf(os.Stdout, "sandbox: %s: %v\n", o.Args[0], err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return report{ExitCode: 127}, nil // what shells say
		}
		return report{ExitCode: 126}, nil
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return report{}, fmt.Errorf("wait: %w", err)
		case pid != cmd.Process.Pid:
		case ws.Signaled():
			return report{ExitCode: -1, Signal: int(ws.Signal())}, nil
		default:
			return report{ExitCode: ws.ExitStatus()}, nil
		}
	}
}

// lookPath finds the program by the command's own PATH.
func lookPath(o order) (string, error) {
	for _, e := range o.Env {
		if err := setenv(e); err != nil {
			return "", err
		}
	}
	return exec.LookPath(o.Args[0])
}

func setenv(e string) error {
	for i := 1; i < len(e); i++ {
		if e[i] == '=' {
			return os.Setenv(e[:i], e[i+1:])
		}
	}
	return fmt.Errorf("environment %q has no value", e)
}
