package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"plague"
	"plague/internal/builder"
	"plague/internal/buildroot"
	"plague/internal/sandbox"

	"github.com/spf13/cobra"
)

func builderCommand(s Streams) *cobra.Command {
	var d daemonFlags
	c := &cobra.Command{
		Use:   "builder [address[:port] arch…]",
		Short: "run a builder",
		Long: `Run a builder: it waits for the server's calls (port 8888), or with mode = active
in its configuration dials in for them, and builds what they order, each build in a
sandbox of its own.

It is started as root, makes sandboxes as root, and does everything else,
all that speaks with the network included, as builder_user. The configuration
is ` + defaultBuilderConfig + ` or what -c names; a CONFIG.py of 2005 is read, too.
address, port and arches override it.

SIGTERM ends it within 20 seconds. The builds go on and the next builder takes
them up, or, with the machine or with on_stop = hand_back, they are handed back
to the server at once. SIGHUP has it read its configuration again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			read := func() (*builderConfig, error) {
				cfg, err := readBuilderConfig(d.config)
				if err != nil {
					return nil, err
				}
				return cfg, cfg.override(args)
			}
			cfg, err := read()
			if err != nil {
				return err
			}
			if _, err := cfg.plan(); err != nil {
				return err
			}
			return d.run(cmd.Context(), s, func(ctx context.Context, log *slog.Logger) error {
				if err := sandbox.Settle(); err != nil {
					log.Warn("builds get no control groups of memory", "error", err)
				}
				return runWarden(ctx, cfg, read, s, log)
			})
		},
	}
	d.add(c, defaultBuilderConfig)
	add(c, "", []*cobra.Command{listBuildersCommand(s, "list"), showBuilderCommand(s), drainCommand(s), resumeCommand(s), removeCommand(s), rebindCommand(s), tokenCommand(s)})
	return c
}

// wardenLock is held by the one builder of a work folder.
const wardenLock = "warden.lock"

// override takes arguments over what the file says.
func (c *builderConfig) override(args []string) error {
	if len(args) > 0 {
		host, port, err := splitAddress(args[0])
		if err != nil {
			return err
		}
		c.address = host
		if port != 0 {
			c.port = port
		}
		if len(args) > 1 {
			c.arches = args[1:]
		}
	}
	if len(c.arches) == 0 && len(c.emulated) == 0 {
		c.arches = nativeArches()
	}
	for _, arch := range c.arches {
		if buildroot.Emulated(arch) && !c.null {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: arches has %s, whose programs this machine does not run", c.file, arch),
				"emulated_arches = "+arch+" has an emulator run them, ten times slower or more")
		}
	}
	return nil
}

// account finds builder_user. Without root nothing can be built.
func (c *builderConfig) account() (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return 0, 0, plague.Refuse(plague.ErrDenied, "a builder has to be started as root: it makes sandboxes", "sudo "+strings.Join(os.Args, " "))
	}
	return c.lookup()
}

// lookup finds builder_user, whoever asks.
func (c *builderConfig) lookup() (uid, gid int, err error) {
	u, err := user.Lookup(c.user)
	if err != nil {
		return 0, 0, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("there is no account %s (option builder_user) for the builder's unprivileged part", c.user),
			"useradd --system --no-create-home --shell /usr/sbin/nologin "+c.user)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	if uid == 0 {
		return 0, 0, plague.Refuse(plague.ErrInvalid, "builder_user must not be root", "")
	}
	if first, last := c.firstUID, c.firstUID+c.slots-1; uid >= first && uid <= last {
		return 0, 0, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("builder_user %s has the uid %d, and builds run as %d to %d (options first_uid, slots)", c.user, uid, first, last),
			"let first_uid begin a range that is nobody's")
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

// folders makes the builder's folders: one that belongs to the daemon, and
// root's own, which the daemon cannot change.
func (c *builderConfig) folders(uid, gid int) (string, error) {
	for _, dir := range []string{c.workDir, filepath.Join(c.workDir, "cache"), filepath.Join(c.workDir, "roots")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fmt.Errorf("option work_dir: %w", err)
		}
	}
	if err := os.MkdirAll(slotLocks(c.workDir), 0o700); err != nil {
		return "", fmt.Errorf("option work_dir: %w", err)
	}
	for _, name := range []string{"daemon", "daemon/attempts"} {
		in, err := builder.OpenFolder(c.workDir, filepath.Dir(name))
		if err != nil {
			return "", fmt.Errorf("option work_dir: %w", err)
		}
		if err := errors.Join(in.Make(filepath.Base(name), uid, gid), in.Close()); err != nil {
			return "", fmt.Errorf("option work_dir: %w", err)
		}
	}
	return c.workDir, nil
}

// slotLocks is root's folder with a lock for each slot.
func slotLocks(work string) string { return filepath.Join(work, "slots") }

// openDoor opens the builder's port; nil: it dials in, and needs none.
func (c *builderConfig) openDoor() (*os.File, error) {
	if c.active {
		return nil, nil
	}
	at := net.JoinHostPort(c.address, strconv.Itoa(c.port))
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("Error: couldn't bind to address '%s'.  Is the builder already running? (%v)", at, err), "")
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

// reached says how servers reach the builder.
func (c *builderConfig) reached() string {
	if c.active {
		return "dials in to " + strings.Join(c.servers, " ")
	}
	return "https://" + net.JoinHostPort(c.address, strconv.Itoa(c.port))
}

// vacateCommand is what the unit runs after each end of the builder, however it came.
func vacateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "builder-vacate", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return sandbox.Vacate() },
	}
}
