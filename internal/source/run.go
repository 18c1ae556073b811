package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"plague"
)

// A call is one run of a program that speaks with a server.
type call struct {
	args  []string
	env   []string
	stdin io.Reader
	out   func(io.Reader) error // reads the standard output; nil: it goes to the log
	said  *tail                 // gets the end of what it complains of; nil: only the error does
}

// wrapped puts the limits before the program that this process cannot set for
// others: no set-user-id program adds a right, no file grows beyond all bounds.
func wrapped(args []string, maxFile int64) []string {
	return append([]string{"setpriv", "--no-new-privs", "prlimit", "--core=0", "--fsize=" + strconv.FormatInt(maxFile, 10), "--"}, args...)
}

// run runs a program as the user who fetches, in an environment that holds
// nothing of ours, and ends it and all it has started with ctx.
func (f *fetch) run(ctx context.Context, c call) error {
	runtime.LockOSThread() // Pdeathsig follows the thread
	defer runtime.UnlockOSThread()
	args := wrapped(c.args, f.plan.cfg.Limits.Bytes)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = f.scm
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + f.home, "TMPDIR=" + f.scm, "LC_ALL=C.UTF-8", "TERM=dumb"}, c.env...)
	cmd.Stdin = c.stdin
	said := c.said
	if said == nil {
		said = &tail{}
	}
	cmd.Stderr = io.MultiWriter(f.Log, said)
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if f.UID >= 1 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(f.UID), Gid: uint32(f.GID), Groups: []uint32{}}
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC // what it leaves running ends with it
	}
	fmt.Fprintf(f.Log, "+ %s\n", strings.Join(c.args, " "))
	err := f.wait(cmd, c.out)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && (said.has("Maximum file size exceeded") || weigh(f.scm, f.plan.cfg.Limits.Bytes) > f.plan.cfg.Limits.Bytes):
		return fmt.Errorf("%s: %w", c.args[0], tooLarge(f.plan.cfg.Limits.Bytes)) // whatever it says: programs word it in many ways
	case errors.As(err, &exit):
		return fmt.Errorf("%s: %w: %s", c.args[0], err, said.lastLine())
	case err != nil:
		return fmt.Errorf("%s: %w", c.args[0], err)
	}
	return nil
}

func (f *fetch) wait(cmd *exec.Cmd, read func(io.Reader) error) error {
	if read == nil {
		cmd.Stdout = cmd.Stderr // the same writer, so that one goroutine feeds it
		return cmd.Run()
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	rerr := read(out)
	if rerr != nil {
		cmd.Cancel() // it may be waiting for us to read on
	}
	if err := cmd.Wait(); rerr == nil {
		return err
	}
	return rerr
}

// text has a call's standard output kept, which is no larger than max.
func text(into *string, max int64) func(io.Reader) error {
	return func(r io.Reader) error {
		data, err := io.ReadAll(io.LimitReader(r, max+1))
		if int64(len(data)) > max {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the repository's list has more than %d bytes", max), "build from a smaller repository")
		}
		*into = string(data)
		return err
	}
}

// watch ends the context when one of the folders has outgrown max bytes; the
// program's own limit binds each file, not their sum. It returns a function that
// ends it.
func watch(ctx context.Context, max int64, dirs ...string) (context.Context, func()) {
	ctx, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if slices.ContainsFunc(dirs, func(dir string) bool { return weigh(dir, max) > max }) {
					stop(tooLarge(max))
				}
			}
		}
	}()
	return ctx, func() { stop(nil); <-done }
}

func tooLarge(max int64) error {
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the package's sources have more than %d bytes", max), "build from a smaller repository, or ask the administrator for other limits")
}

// nameCost is what a file without content weighs.
const nameCost = 4 << 10

// weigh adds up the files of a folder in which somebody is writing, until there
// is more than max.
func weigh(dir string, max int64) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it came and went
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size() + nameCost
		}
		if sum > max {
			return fs.SkipAll
		}
		return nil
	})
	return sum
}

// brought opens a folder that a program has brought. It may be a link there: a tag in
// Subversion can be one. None leads out of what was brought.
func (f *fetch) brought(name string) (*os.Root, error) {
	all, err := os.OpenRoot(f.scm)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	return all.OpenRoot(name)
}

// mkdir makes a folder, for the user who fetches if mine is false; he can read
// every one.
func (f *fetch) mkdir(dir string, mine bool) error {
	if err := os.Mkdir(dir, 0o750); err != nil || f.UID < 1 {
		return err
	}
	if mine {
		return os.Lchown(dir, -1, f.GID)
	}
	return os.Lchown(dir, f.UID, f.GID)
}

// tail keeps the end of what is written.
type tail struct{ buf bytes.Buffer }

const maxTail = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if t.buf.Len() > 2*maxTail {
		t.buf.Next(t.buf.Len() - maxTail)
	}
	return len(p), nil
}

func (t *tail) has(words ...string) bool {
	for _, w := range words {
		if strings.Contains(t.buf.String(), w) {
			return true
		}
	}
	return false
}

// lastLine is what errors show: a server may have written it.
func (t *tail) lastLine() string {
	s := strings.TrimSpace(t.buf.String())
	s = s[strings.LastIndexByte(s, '\n')+1:]
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), 300)])
}
