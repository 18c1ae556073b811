package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plague"
	"plague/internal/durable"
)

const (
	scriptTimeout = time.Hour
	maxScriptLog  = 1 << 20 // bytes of what a run prints that are kept
)

// Scripts runs repository scripts: what a target's owner wants done after each
// change of it, such as a copy to mirrors.
type Scripts struct {
	Dir     *durable.Dir  // the server's own: <target>.log is what the last run printed
	Results *durable.Dir  // server_work_dir
	Timeout time.Duration // of one run; default 1h
}

var errScriptTimeout = errors.New("it took too long and was killed")

// Run runs a target's script for snapshot n: the words of the option, and the
// target's name (README of 2005); no shell reads them. It starts in the target's
// folder, repos/<target>, with the snapshot's number in PLAGUE_SNAPSHOT. said is
// the end of what it printed. While an earlier run goes on, which a server may have
// left behind that was killed, the error is plague.ErrConflict.
func (s Scripts) Run(ctx context.Context, t *plague.Target, n int64) (said string, err error) {
	target := t.String()
	words := strings.Fields(t.RepoScript)
	if err := checkElement("target", target); err != nil || len(words) == 0 {
		return "", err
	}
	alone, err := s.alone(target)
	if err != nil {
		return "", err
	}
	defer alone.Close()
	log, err := os.OpenFile(s.Dir.Path(target+".log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(s.Timeout, scriptTimeout), errScriptTimeout)
	defer cancel()
	cmd := command(ctx, words[0], append(words[1:], target)...)
	cmd.Dir = s.Results.Path(reposDir, target)
	cmd.Env = append(cmd.Env, "PLAGUE_SNAPSHOT="+strconv.FormatInt(n, 10))
	cmd.ExtraFiles = []*os.File{alone}
	printed := &scriptLog{file: log, left: maxScriptLog}
	cmd.Stdout, cmd.Stderr = printed, printed
	err = cmd.Run()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // what it left running still has its output
		return printed.end.String(), nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return printed.end.String(), fmt.Errorf("%s: %w", words[0], err)
}

// alone is held by a run and all that it starts, so that no two are under way.
func (s Scripts) alone(target string) (*os.File, error) {
	f, err := os.OpenFile(s.Dir.Path(target+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: an earlier run of the repository script of %s, or what it started, goes on", plague.ErrConflict, target)
		}
		return nil, err
	}
	return f, nil
}

// scriptLog keeps what a run prints: its beginning in a file, its end at hand. That
// the disk is full does not stop the run.
type scriptLog struct {
	file *os.File
	left int
	end  tail
}

func (l *scriptLog) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.left)]
	if n, err := l.file.Write(keep); err != nil {
		l.left = 0
	} else {
		l.left -= n
	}
	return l.end.Write(p)
}
