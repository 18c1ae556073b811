package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"plague"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// upFlags are what `plague up` makes a farm of.
type upFlags struct {
	dir    string
	base   []string // name=URL
	distro string
	target string
	repo   string
	arches []string
	user   string
	slots  int
	port   int
	detach bool
	json   bool
}

func upCommand(s Streams) *cobra.Command {
	var u upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "bring up a farm on this machine: server, one builder, one target",
		Long: `Bring up a whole farm on loopback, in one folder: both CAs, certificates, a user,
a SQLite database, the server, and one builder with a slot for every two cores.
The first call makes it; later ones bring the same farm up again. Needs root,
for the builder's sandboxes; the server runs as the account plague-server and the
builder's unprivileged part as plague-builder, which are made if they are missing.

  plague up --dir /srv/farm --distro lab --target 12 --repo extras \
            --base-repo lab=https://mirror.example.com/lab/12/$arch/ --detach
  plague down --dir /srv/farm`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd.Context(), s) },
	}
	f := c.Flags()
	f.StringVar(&u.dir, "dir", "/var/lib/plague/farm", "`folder` of the farm")
	f.StringArrayVar(&u.base, "base-repo", nil, "`name=URL` of a repository that buildroots are made of; $arch stands for the arch; may be given again")
	f.StringVar(&u.distro, "distro", "lab", "first part of the target's name")
	f.StringVar(&u.target, "target", "12", "second part")
	f.StringVar(&u.repo, "repo", "extras", "third part")
	f.StringSliceVar(&u.arches, "arch", nativeArches()[:1], "arches of the target")
	f.StringVar(&u.user, "user", "packager@localhost.localdomain", "e-mail of the farm's first user")
	f.IntVar(&u.slots, "slots", 0, "arch jobs at a time; default: one for every two cores")
	f.IntVar(&u.port, "port", 0, "first of the four `ports` of a new farm: web, builders, users, its builder; default: 8885 and on, or any that are free")
	f.BoolVar(&u.detach, "detach", false, "go on in the background once the farm is up")
	f.BoolVar(&u.json, "json", false, "print the addresses as JSON")
	return c
}

func downCommand(s Streams) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "down", Short: "stop the farm that `plague up` brought up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), dir, s) },
	}
	c.Flags().StringVar(&dir, "dir", "/var/lib/plague/farm", "`folder` of the farm")
	return c
}

// run brings the farm up; in the background it comes back when the farm
// answers.
func (u *upFlags) run(ctx context.Context, s Streams) error {
	if os.Geteuid() != 0 {
		return plague.Refuse(plague.ErrDenied, "`plague up` needs root: its builder makes sandboxes", "sudo plague up …")
	}
	dir, err := filepath.Abs(u.dir)
	if err != nil {
		return err
	}
	u.dir = dir
	f, err := u.make(ctx)
	if err != nil {
		return err
	}
	lock, err := exclusive(filepath.Join(dir, "up.lock"))
	if errors.Is(err, plague.ErrConflict) {
		fmt.Fprintln(s.Err, "the farm is up already")
		return f.show(s.Out, u.json)
	}
	if err != nil {
		return err
	}
	if err := f.portsFree(); err != nil {
		lock.Close()
		return err
	}
	if u.detach {
		lock.Close()
		return f.detached(ctx, s, u.json)
	}
	defer lock.Close()
	// Only who holds the lock writes this: down must not signal anybody else.
	if err := os.WriteFile(f.path("farm.pid"), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return err
	}
	defer os.Remove(f.path("farm.pid"))
	return f.foreground(ctx, s, u.json)
}

// farm is a farm in a folder, as farm.json remembers it.
type farm struct {
	Dir     string   `json:"dir"`
	Target  string   `json:"target"`
	User    string   `json:"user"`
	Client  string   `json:"client_config"`
	CA      string   `json:"ca_cert"`
	Users   string   `json:"users"`   // address of the users' door
	Files   string   `json:"files"`   // of the builders'
	Web     string   `json:"web"`     // of the public web
	Builder string   `json:"builder"` // of the builder
	Arches  []string `json:"arches"`
}

func (f *farm) path(elem ...string) string { return filepath.Join(append([]string{f.Dir}, elem...)...) }

// show prints where the farm is.
func (f *farm) show(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(f)
	}
	var repos strings.Builder
	for _, a := range f.Arches {
		fmt.Fprintf(&repos, "repository   %s/repos/%s/%s/\n", f.Web, f.Target, a)
	}
	_, err := fmt.Fprintf(w, `jobs         %s/
%ssubmit       PLAGUE_CLIENT_CONFIG=%s plague build NAME NAME-VERSION-RELEASE.src.rpm %s
stop         plague down --dir %s
`, f.Web, repos.String(), f.Client, f.Target, f.Dir)
	return err
}

// upTimeout is how long a farm may take until it answers.
const upTimeout = 60 * time.Second

// detached starts the farm in the background and waits until it answers.
func (f *farm) detached(ctx context.Context, s Streams, asJSON bool) error {
	log := f.path("farm.log")
	if _, err := background([]string{"plague", "up", "--dir", f.Dir}, log); err != nil {
		return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("the farm did not start: %v", err), "its log is "+log)
	}
	if err := f.ready(ctx); err != nil {
		return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("the farm did not come up within %s: %v", upTimeout, err), "its log is "+log)
	}
	return f.show(s.Out, asJSON)
}

// ready waits until the server answers its user and the builder is alive.
func (f *farm) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	var last error
	for {
		last = f.answers(ctx)
		if last == nil {
			return nil
		}
		t := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return last
		case <-t.C:
		}
	}
}

func (f *farm) answers(ctx context.Context) error {
	client, err := connectWith(f.Client)
	if err != nil {
		return err
	}
	builders, err := client.ListBuilders(ctx)
	if err != nil {
		return err
	}
	for _, b := range builders {
		if !b.Alive {
			return fmt.Errorf("builder %s: %s", b.Name, b.Suspended)
		}
	}
	return nil
}

// foreground runs signer, server and builder as processes of their own until ctx ends,
// and starts again what dies.
func (f *farm) foreground(ctx context.Context, s Streams, asJSON bool) error {
	if err := f.show(s.Out, asJSON); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal is gone: nobody would end what it starts
	defer stop()
	log := slog.New(slog.NewTextHandler(s.Err, nil))
	account, err := ensureAccount("plague-server")
	if err != nil {
		return err
	}
	if err := f.signerFolder(account); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return keepUp(ctx, log, "signer", func() *exec.Cmd {
			c := self("signer", "--cadir", f.path("ca"), "--socket", f.signerSocket())
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			return c
		}, s)
	})
	g.Go(func() error {
		return keepUp(ctx, log, "server", func() *exec.Cmd {
			c := self("server", "-c", f.path("server", "server.cfg"))
			c.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
			return c
		}, s)
	})
	g.Go(func() error {
		return keepUp(ctx, log, "builder", func() *exec.Cmd {
			c := self("builder", "-c", f.path("builder", "builder.cfg"))
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			return c
		}, s)
	})
	return g.Wait()
}

const (
	firstPause = 200 * time.Millisecond // before a process that died is started again
	longPause  = 10 * time.Second
	stopGrace  = 30 * time.Second // more than a builder takes to hand back what it runs
)

// keepUp runs a process for as long as ctx lasts, again and again with growing
// pauses, and stops it then.
func keepUp(ctx context.Context, log *slog.Logger, name string, command func() *exec.Cmd, s Streams) error {
	pause := firstPause
	for ctx.Err() == nil {
		c := command()
		c.Stdout, c.Stderr = s.Err, s.Err
		began := time.Now()
		if err := c.Start(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case <-ctx.Done():
			return stopProcess(c, done)
		case err := <-done:
			log.Warn("process ended, starting it again", "process", name, "error", err)
		}
		if time.Since(began) > longPause {
			pause = firstPause
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		pause = min(2*pause, longPause)
	}
	return nil
}

func stopProcess(c *exec.Cmd, done <-chan error) error {
	if err := c.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		err := c.Process.Kill()
		<-done
		return err
	}
}

// down stops a farm that goes on in the background. Builds that run go on
// under their supervisors; the farm finds them when it is up again.
func down(ctx context.Context, dir string, s Streams) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, farmFile)); err != nil {
		return plague.Refuse(plague.ErrNotFound, "there is no farm in "+dir, "--dir names its folder")
	}
	var pid int
	if data, err := os.ReadFile(filepath.Join(dir, "farm.pid")); err == nil {
		fmt.Sscanf(string(data), "%d", &pid)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stopGrace)
	defer cancel()
	for told := false; ; told = true {
		lock, err := exclusive(filepath.Join(dir, "up.lock"))
		if err == nil {
			lock.Close()
			fmt.Fprintln(s.Err, "the farm is down")
			return nil
		}
		if pid == 0 {
			return plague.Refuse(plague.ErrConflict, "the farm runs in the foreground of another terminal", "stop it there with ^C")
		}
		if !told {
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				return fmt.Errorf("stop the farm: %w", err)
			}
		}
		t := time.NewTimer(50 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w: the farm did not end within %s", plague.ErrUnavailable, 2*stopGrace)
		case <-t.C:
		}
	}
}
