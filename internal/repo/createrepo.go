package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plague"
)

// makeTimeout is how long createrepo_c may take; 50,000 packages take 6 s where
// the disk is quick (2026).
const makeTimeout = 10 * time.Minute

// maxStderr is how much of the end of what createrepo_c says is kept.
const maxStderr = 4096

type createrepo struct{ program string }

// Createrepo makes repodata with createrepo_c, given by name or path: gzip, no
// SQLite, and the parent's metadata used again for files of the same size and
// time. That it looks at each file (no --skip-stat) costs next to nothing and
// finds the one that is not there.
func Createrepo(program string) Metadata { return createrepo{program} }

func (c createrepo) Make(ctx context.Context, in MakeInput) error {
	list := filepath.Join(in.Out, ".pkglist") // it takes no pipe
	var lines bytes.Buffer
	for _, p := range in.Packages {
		lines.WriteString(p.Href() + "\n")
	}
	if err := os.WriteFile(list, lines.Bytes(), 0o600); err != nil {
		return err
	}
	defer os.Remove(list)
	args := []string{"--quiet", "--error-exit-val", "--no-database",
		"--compress-type", "gz", "--general-compress-type", "gz",
		"--checksum", "sha256", "--repomd-checksum", "sha256", "--unique-md-filenames",
		"--revision", strconv.FormatInt(in.Revision, 10), "--pkglist", list, "--outputdir", in.Out}
	if in.Previous != "" {
		args = append(args, "--update", "--update-md-path", filepath.Dir(in.Previous))
	}
	return c.run(ctx, append(args, in.Dir))
}

func (c createrepo) run(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, makeTimeout, fmt.Errorf("%s took longer than %s", c.program, makeTimeout))
	defer cancel()
	cmd := command(ctx, c.program, args...)
	var said tail
	cmd.Stderr = &said
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return plague.Refuse(plague.ErrUnavailable, c.program+" is not installed",
			"install it: apt install createrepo-c, or dnf install createrepo_c")
	}
	return fmt.Errorf("%s: %w: %s", c.program, err, said.String())
}

// command is a program that ends with ctx, together with everything that it started.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxStderr; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	if s := strings.ToValidUTF8(strings.TrimSpace(string(t.text)), "?"); s != "" {
		return s
	}
	return "it said nothing"
}
