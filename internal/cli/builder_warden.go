package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"plague/internal/builder"
	"plague/internal/buildroot"
)

// runWarden is the privileged half of the builder. At a SIGHUP it reads its configuration
// again and goes on with another daemon, while builds run on as over a restart; the door
// stays open meanwhile.
func runWarden(ctx context.Context, c *builderConfig, read func() (*builderConfig, error), s Streams, log *slog.Logger) error {
	told, stop := hangups()
	defer stop()
	uid, gid, err := c.account()
	if err != nil {
		return err
	}
	p, err := c.plan()
	if err != nil {
		return err
	}
	seat, err := c.sit(uid, gid, s, log)
	if err != nil {
		return err
	}
	defer seat.leave()
	w, err := seat.warden(ctx, p)
	if err != nil {
		return err
	}
	log.Info("builder is up", "builder", p.name, "address", c.reached(), "slots", c.slots, "arches", c.arches, "emulated", c.emulated)
	for {
		life, end := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- w.Run(life) }()
		next := w
		for next == w {
			select {
			case err := <-done:
				end()
				if ctx.Err() != nil {
					return nil
				}
				return err
			case <-told:
				if now, err := seat.reread(ctx, c, read); err != nil {
					log.Error("configuration not read again, the old one stays", "error", err)
				} else {
					next = now
				}
			}
		}
		end()
		if err := <-done; err != nil {
			log.Warn("the daemon with the old configuration ended badly", "error", err)
		}
		w = next
		log.Info("configuration read again")
	}
}

// plan is what a configuration comes to.
type plan struct {
	*builderConfig
	name  string          // of the builder
	setup []byte          // of its daemon
	mock  *buildroot.Mock // nil: nothing is built by mock
}

func (c *builderConfig) plan() (p plan, err error) {
	p.builderConfig = c
	if p.mock, err = c.mock.backend(c.workDir, c.user); err == nil {
		p.name, p.setup, err = c.daemonSetup(p.mock)
	}
	return p, err
}

// seat is what a builder holds for as long as it runs, whatever its configuration says
// later.
type seat struct {
	lock, door *os.File // door: nil, it dials in
	work       string
	uid, gid   int
	s          Streams
	log        *slog.Logger
}

// sit takes the work folder and the door.
func (c *builderConfig) sit(uid, gid int, s Streams, log *slog.Logger) (*seat, error) {
	work, err := c.folders(uid, gid)
	if err != nil {
		return nil, err
	}
	lock, err := exclusive(filepath.Join(work, wardenLock))
	if err != nil {
		return nil, err
	}
	door, err := c.openDoor()
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &seat{lock: lock, door: door, work: work, uid: uid, gid: gid, s: s, log: log}, nil
}

func (t *seat) leave() {
	if t.door != nil {
		t.door.Close()
	}
	t.lock.Close()
}

// warden is the one of a plan. It ends with ctx, and only then may hand back.
func (t *seat) warden(ctx context.Context, p plan) (*builder.Warden, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	sup, err := json.Marshal(superviseSetup{Work: t.work, FirstUID: p.firstUID, UID: t.uid, GID: t.gid, CACert: p.caCert, Hostname: host, Null: p.null, Mock: p.mock})
	if err != nil {
		return nil, err
	}
	return &builder.Warden{
		Work: t.work, Attempts: filepath.Join("daemon", "attempts"),
		Daemon: func() *exec.Cmd { return daemonProcess(p.setup, t.uid, t.gid, t.door, t.s) },
		Supervise: func(dir string) *exec.Cmd {
			cmd := self("supervise", dir)
			cmd.Stdin, cmd.Stderr = bytes.NewReader(sup), t.s.Err
			return cmd
		},
		Sweep: func(live []string) error { return sweep(t.work, p.mock, live, t.log) },
		Keep:  p.keeper(), HandsBack: func() bool { return ctx.Err() != nil && p.handsBack(t.log) },
		Check: func(ctx context.Context) error { return lacking(ctx, p.machine(filepath.Join(t.work, "roots"))) },
		Log:   t.log,
	}, nil
}

// reread makes a warden of the configuration as it is now, if nothing in it is wrong or
// waits for a restart.
func (t *seat) reread(ctx context.Context, c *builderConfig, read func() (*builderConfig, error)) (*builder.Warden, error) {
	now, err := read()
	if err != nil {
		return nil, err
	}
	if now.active != c.active || !c.active && now.reached() != c.reached() || now.workDir != c.workDir || now.user != c.user || now.firstUID != c.firstUID {
		return nil, errors.New("another mode, address, port, work_dir, builder_user or first_uid waits for a restart")
	}
	p, err := now.plan()
	if err != nil {
		return nil, err
	}
	return t.warden(ctx, p)
}
