package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"plague"

	"github.com/spf13/cobra"
)

// daemonFlags are the options that server and builder had in 2005.
type daemonFlags struct {
	config  string
	pidFile string
	logFile string
	detach  bool
	debug   bool
	check   bool
}

func (d *daemonFlags) add(c *cobra.Command, config string) {
	f := c.Flags()
	f.StringVarP(&d.config, "config", "c", config, "configuration `file`")
	f.StringVarP(&d.pidFile, "pidfile", "p", "", "`file` for the process id")
	f.StringVarP(&d.logFile, "logfile", "l", "", "`file` for the log, appended to; standard error without it")
	f.BoolVarP(&d.detach, "daemon", "d", false, "go on in the background")
	f.BoolVar(&d.debug, "debug", false, "log more")
	f.BoolVar(&d.check, "check", false, "only check the configuration")
}

// run runs a daemon's body: in the background when that was asked for, with
// its process id and log where the flags say. The configuration has been read.
func (d *daemonFlags) run(ctx context.Context, s Streams, body func(context.Context, *slog.Logger) error) error {
	if d.check {
		fmt.Fprintln(s.Out, d.config+" can be used.")
		return nil
	}
	if d.detach {
		pid, err := background(withoutDetach(os.Args), d.logFile)
		if err != nil {
			return plague.Refuse(plague.ErrUnavailable, "Daemonizing failed! "+err.Error(), "")
		}
		fmt.Fprintln(s.Out, pid)
		return nil
	}
	log, closeLog, err := d.logger(s.Err)
	if err != nil {
		return err
	}
	defer closeLog()
	if d.pidFile != "" {
		if err := os.WriteFile(d.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return fmt.Errorf("%w: pid file: %w", plague.ErrInvalid, err)
		}
		defer os.Remove(d.pidFile)
	}
	if err := body(ctx, log); err != nil {
		return err
	}
	log.Info("Done.")
	return nil
}

func (d *daemonFlags) logger(errw io.Writer) (*slog.Logger, func() error, error) {
	level := slog.LevelInfo
	if d.debug {
		level = slog.LevelDebug
	}
	w, closer := errw, func() error { return nil }
	if d.logFile != "" {
		f, err := os.OpenFile(d.logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: log file: %w", plague.ErrInvalid, err)
		}
		w, closer = f, f.Close
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), closer, nil
}

// withoutDetach is the command line that does in the foreground what args
// would do in the background.
func withoutDetach(args []string) []string {
	var rest []string
	for _, a := range args {
		if a != "-d" && a != "--daemon" && a != "--detach" {
			rest = append(rest, a)
		}
	}
	return rest
}

// self is this program as a process of its own. It is named by what runs, not
// by its path: an unprivileged process may not be able to reach that.
func self(args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Args[0] = "plague"
	return c
}

// earlyDeath is how long a process in the background is watched for an end
// that comes at once: a wrong configuration should be seen where it was typed.
const earlyDeath = 300 * time.Millisecond

// background starts a command line of this program in a session of its own.
func background(args []string, logFile string) (int, error) {
	c := self(args[1:]...)
	c.Args[0] = args[0]
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		c.Stdout, c.Stderr = f, f
	} else {
		c.Stderr = os.Stderr
	}
	if err := c.Start(); err != nil {
		return 0, err
	}
	died := make(chan error, 1)
	go func() { died <- c.Wait() }()
	t := time.NewTimer(earlyDeath)
	defer t.Stop()
	select {
	case err := <-died:
		return 0, errors.Join(errors.New("it ended at once"), err)
	case <-t.C:
		return c.Process.Pid, nil
	}
}
