package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/builder"
	"plague/internal/buildroot"
	"plague/internal/durable"
	"plague/internal/pki"
	"plague/internal/sandbox"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// daemonSetup is what the warden tells the daemon: all it needs, keys
// included, over a pipe and never by arguments. The files themselves are root's:
// the README of 2005 has all of them in a folder that nobody else may enter.
type daemonSetup struct {
	KeyAndCert []byte
	CACert     []byte
	ServerCert []byte   // DER; none when the server's role is enough
	Servers    []string // https://host:port of their builders' doors
	Active     bool     // it dials them: there is no door
	Name       string
	Software   string
	Work       string
	Slots      int
	Arches     []string
	Emulated   []string // of Arches
	Targets    []string
	Labels     []string
	TLS12      bool
	Mock       *buildroot.Mock // nil: nothing is built by mock
}

// superviseSetup is what the warden tells a supervisor.
type superviseSetup struct {
	Work     string
	FirstUID int
	UID, GID int // of builder_user
	CACert   string
	Hostname string
	Null     bool            // nothing is built
	Mock     *buildroot.Mock // nil: nothing is built by mock
}

// maxSetup is the most that is read of either.
const maxSetup = 1 << 20

// daemonSetup also checks what the daemon will be given, while the one who
// started the builder still looks.
func (c *builderConfig) daemonSetup(mock *buildroot.Mock) (name string, setup []byte, err error) {
	if _, err := pki.LoadKeyAndCert(c.keyAndCert); err != nil {
		return "", nil, fmt.Errorf("%w: option builder_key_and_cert: %w", plague.ErrInvalid, err)
	}
	id, err := pki.Describe(c.keyAndCert)
	if err != nil {
		return "", nil, err
	}
	if _, err := pki.LoadPool(c.caCert); err != nil {
		return "", nil, fmt.Errorf("%w: option ca_cert: %w", plague.ErrInvalid, err)
	}
	var pinned []byte
	if c.serverCert != "" {
		if pinned, err = pki.LoadPinned(c.serverCert); err != nil {
			return "", nil, fmt.Errorf("%w: option server_cert: %w", plague.ErrInvalid, err)
		}
	}
	key, err := os.ReadFile(c.keyAndCert)
	if err != nil {
		return "", nil, err
	}
	ca, err := os.ReadFile(c.caCert)
	if err != nil {
		return "", nil, err
	}
	setup, err = json.Marshal(daemonSetup{
		KeyAndCert: key, CACert: ca, ServerCert: pinned, Servers: c.servers, Active: c.active, Name: id.Name, Software: version(),
		Work: filepath.Join(c.workDir, "daemon"), Slots: c.slots, Arches: slices.Concat(c.arches, c.emulated), Emulated: c.emulated, Targets: c.targets, Labels: c.labels, TLS12: c.tls12, Mock: mock,
	})
	return id.Name, setup, err
}

// daemonProcess is the unprivileged half: the socket to the warden is its file
// 3, the door, if it has one, its file 4.
func daemonProcess(setup []byte, uid, gid int, door *os.File, s Streams) *exec.Cmd {
	cmd := self("builder-daemon")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(setup), s.Out, s.Err
	if door != nil {
		cmd.ExtraFiles = []*os.File{door}
	}
	cmd.Env = []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/nonexistent"}
	cmd.WaitDelay = time.Second // for what it leaves behind, if it does
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}},
		Setpgid:    true, // the warden alone says when it ends, also to ^C
	}
	return cmd
}

func builderDaemonCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use: "builder-daemon", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := goAlone(); err != nil {
				return err
			}
			var setup daemonSetup
			if err := readSetup(s.In, &setup); err != nil {
				return err
			}
			return runDaemon(cmd.Context(), setup, slog.New(slog.NewTextHandler(s.Err, nil)))
		},
	}
}

func readSetup(r io.Reader, into any) error {
	data, err := io.ReadAll(io.LimitReader(r, maxSetup))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return plague.Refuse(plague.ErrInvalid, "this command is started by `plague builder`, not by people", "")
	}
	return nil
}

// runDaemon is the unprivileged half of the builder.
func runDaemon(ctx context.Context, setup daemonSetup, log *slog.Logger) error {
	warden, err := net.FileConn(os.NewFile(3, "warden"))
	if err != nil {
		return fmt.Errorf("warden: %w", err)
	}
	launcher := builder.NewProcesses(warden)
	cert, err := tls.X509KeyPair(setup.KeyAndCert, setup.KeyAndCert)
	if err != nil {
		return errors.New("the key and the certificate do not fit each other") // nothing of the key in an error
	}
	roots, err := pki.ParsePool("ca_cert", setup.CACert)
	if err != nil {
		return err
	}
	peer := pki.Expect{Role: pki.RoleServer, Pinned: setup.ServerCert}
	work, err := durable.Open(setup.Work, 0o755)
	if err != nil {
		return err
	}
	files, err := work.Sub("srpms")
	if err != nil {
		return err
	}
	srpms, err := artifact.OpenDir(files)
	if err != nil {
		return err
	}
	holder := pki.NewHolder(cert)
	shown := holder.Shown(pki.ClientConfig(&cert, roots, peer))
	client := httpsClient(shown)
	var l net.Listener
	if !setup.Active {
		if l, err = net.FileListener(os.NewFile(4, "door")); err != nil {
			return fmt.Errorf("door: %w", err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return launcher.Run(ctx) }) // a builder that begins asks the warden whether it can build
	b, err := builder.New(builder.Config{
		Name: setup.Name, Software: setup.Software, Slots: setup.Slots, Arches: setup.Arches, Emulated: setup.Emulated, Targets: setup.Targets,
		Work: work, SRPMs: srpms, Server: client, ServerURLs: setup.Servers,
		Launcher: launcher, Ready: launcher.Ready, Takes: mockTakes(setup.Mock), Machine: builder.MachineWith(setup.Labels), Log: log,
	})
	if err != nil {
		g.Go(func() error { return err })
		return g.Wait()
	}
	r := renewer{holder: holder, tls: shown, client: client, servers: setup.Servers, keep: launcher.Keep, renewed: func() {}, log: log}
	var reached func(context.Context) error // how servers reach the builder
	if setup.Active {
		d := newDialIn(setup.Servers, shown, b.Door(), log)
		reached, r.renewed = d.run, d.redial
	} else {
		d := door{tls: holder.Shown(pki.DoorConfig(cert, roots, peer)), handler: b.Door(), listener: l}
		if setup.TLS12 {
			d.tls = pki.AllowTLS12(d.tls)
		}
		reached = func(ctx context.Context) error { return d.serve(ctx, log) }
	}
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return reached(ctx) })
	g.Go(func() error { return handBack(ctx, b, log) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func superviseCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use: "supervise dir", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var setup superviseSetup
			if err := readSetup(s.In, &setup); err != nil {
				return err
			}
			return runSupervisor(cmd.Context(), args[0], setup)
		},
	}
}

// runSupervisor takes up one attempt, says so on file 3, and leaves its
// outcome in the attempt's folder.
func runSupervisor(ctx context.Context, dir string, setup superviseSetup) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	name, err := filepath.Rel(setup.Work, dir)
	if err != nil {
		return err
	}
	folder, err := builder.OpenFolder(setup.Work, name)
	if err != nil {
		return err
	}
	defer folder.Close()
	control, err := builder.TakeControl(folder.Path(), setup.UID, stop)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		control.Serve()
	}()
	ready := os.NewFile(3, "ready")
	if _, err := io.WriteString(ready, "ready\n"); err != nil {
		return err
	}
	if err := ready.Close(); err != nil {
		return err
	}
	d, err := durable.Open(folder.Path(), 0o755)
	if err != nil {
		return err
	}
	sources := builder.Sources{Native: native(setup.Work), Sandbox: sandbox.Native{}}
	err = builder.Supervise(ctx, builder.Supervision{
		Dir: d, Name: filepath.Base(name), Slots: slotLocks(setup.Work), Backend: setup.backend(), Sources: sources, FirstUID: setup.FirstUID, FetchUID: setup.UID, FetchGID: setup.GID,
		CACert: setup.CACert, Hostname: setup.Hostname, News: control.News,
	})
	err = errors.Join(err, control.Close())
	<-served
	return err
}

func native(work string) *buildroot.Native {
	return &buildroot.Native{Cache: filepath.Join(work, "cache"), Work: filepath.Join(work, "roots"), Sandbox: sandbox.Native{}}
}

// exclusive takes a lock file: two builders on one folder would undo each
// other's work.
func exclusive(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, plague.Refuse(plague.ErrConflict, fmt.Sprintf("another process has %s", name), "is it running already? Give this one a folder of its own")
	}
	return f, nil
}
