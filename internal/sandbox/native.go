package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Native is the sandbox made of the kernel's own namespaces, by starting this
// very program again as the first process in them (Main). It needs root and
// Linux 5.12.
type Native struct{}

// Run makes the sandbox, runs the command and takes all away again.
func (Native) Run(ctx context.Context, c Command) (Result, error) {
	return WithLimits(namespaces{}).Run(ctx, c)
}

type namespaces struct{}

// order is what the first process inside is told, on file 3. The pipe stays open
// as long as this process lives: its end is one more reason to die.
type order struct {
	Layers                  []string
	Upper, Scratch, Mount   string
	Binds                   []Bind
	Nested                  string
	UID, GID                int
	Caps                    Caps
	Args, Env               []string
	Dir, Hostname           string
	Personality32           bool
	FileSize, Procs, Memory uint64
}

// report is its answer, on file 4: how the command ended, or why it never began.
type report struct {
	ExitCode, Signal int
	Trouble          string
}

func (namespaces) Run(ctx context.Context, c Command) (Result, error) {
	o, err := prepare(c)
	if err != nil {
		return Result{}, fmt.Errorf("prepare sandbox: %w", err)
	}
	defer os.RemoveAll(c.Work)
	rep, used, err := start(ctx, c, o)
	switch {
	case ctx.Err() != nil:
		return Result{ExitCode: -1, Signal: int(syscall.SIGKILL), Reason: Killed, Used: used}, nil
	case err != nil:
		return Result{}, fmt.Errorf("run sandbox: %w", err)
	case rep.Trouble != "":
		return Result{}, fmt.Errorf("set up sandbox: %s", rep.Trouble)
	}
	return Result{ExitCode: rep.ExitCode, Signal: rep.Signal, Used: used}, nil
}

// prepare checks the command and makes the folders of its run.
func prepare(c Command) (order, error) {
	if err := c.check(); err != nil {
		return order{}, err
	}
	if err := os.Mkdir(c.Work, 0o700); err != nil {
		return order{}, err
	}
	o := order{
		Layers: c.Layers, Upper: c.Upper, Scratch: filepath.Join(c.Work, "w"), Mount: filepath.Join(c.Work, "m"),
		Binds: c.Binds, Nested: c.Nested, UID: c.UID, GID: c.GID, Caps: c.Caps, Args: c.Args, Env: c.Env,
		Dir: c.Dir, Hostname: c.Hostname, Personality32: c.Personality32,
		FileSize: c.Limits.FileSize, Procs: c.Limits.Procs, Memory: c.Limits.Memory,
	}
	if o.Upper == "" {
		o.Upper = filepath.Join(c.Work, "u")
	}
	for _, d := range []string{o.Scratch, o.Mount, o.Upper} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return order{}, errors.Join(err, os.RemoveAll(c.Work))
		}
	}
	return o, nil
}

func (c *Command) check() error {
	if len(c.Layers) == 0 || len(c.Args) == 0 || c.Work == "" {
		return errors.New("a command needs layers, a work folder and arguments")
	}
	if c.UID < 0 || c.GID < 0 || (c.UID == 0 || c.GID == 0) && c.Caps == CapsNone {
		return fmt.Errorf("a command without capabilities needs a uid of its own, not %d:%d", c.UID, c.GID)
	}
	if c.UID != 0 && c.Caps != CapsNone {
		return fmt.Errorf("uid %d cannot have capabilities", c.UID)
	}
	paths := append([]string{c.Work, c.Upper}, c.Layers...)
	for _, p := range paths {
		if strings.ContainsAny(p, ",:\\") { // they mean something in overlay's options
			return fmt.Errorf("folder %q has a comma, colon or backslash in its name", p)
		}
		if p != "" && !filepath.IsAbs(p) {
			return fmt.Errorf("folder %q is not absolute", p)
		}
	}
	return nil
}

// start runs the first process of the sandbox and waits for it. Pdeathsig
// follows the thread that forked, so this goroutine keeps its thread to the end.
func start(ctx context.Context, c Command, o order) (rep report, used Used, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var p pipes
	defer p.close()
	if err := p.open(); err != nil {
		return rep, used, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{initName}
	cmd.Env = []string{}
	cmd.Stdin = c.Stdin
	cmd.Stdout, cmd.Stderr = p.output[1], p.output[1]
	cmd.ExtraFiles = []*os.File{p.order[0], p.report[1]}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true, // a ^C at the terminal is for us to act on
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		return rep, used, fmt.Errorf("make namespaces: %w; only root can build", err)
	} else if err != nil {
		return rep, used, err
	}
	g := newGauge(cmd.Process.Pid, c.Work) // it starts nothing before it has its order
	defer context.AfterFunc(ctx, func() { cmd.Process.Kill() })()
	err = p.talk(c.Output, o)
	if err != nil {
		cmd.Process.Kill()
	}
	answer, _ := io.ReadAll(io.LimitReader(p.report[0], 64<<10)) // everything inside is gone: this ends
	werr := cmd.Wait()
	used = g.end(cmd.ProcessState)
	if err == nil && json.Unmarshal(answer, &rep) != nil {
		err = fmt.Errorf("its first process ended early: %v", werr)
	}
	return rep, used, err
}

// pipes join us with the first process inside.
type pipes struct{ order, report, output [2]*os.File }

func (p *pipes) open() (err error) {
	for _, pair := range []*[2]*os.File{&p.order, &p.report, &p.output} {
		if pair[0], pair[1], err = os.Pipe(); err != nil {
			return err
		}
	}
	return nil
}

// talk gives the order and passes the output on until nobody inside can write.
func (p *pipes) talk(out io.Writer, o order) error {
	p.order[0].Close()
	p.report[1].Close()
	p.output[1].Close()
	if err := json.NewEncoder(p.order[1]).Encode(o); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("give the order: %w", err)
	}
	if _, err := io.Copy(out, p.output[0]); err != nil {
		return fmt.Errorf("pass the output on: %w", err)
	}
	return nil
}

func (p *pipes) close() {
	for _, f := range []*os.File{p.order[0], p.order[1], p.report[0], p.report[1], p.output[0], p.output[1]} {
		if f != nil {
			f.Close()
		}
	}
}
