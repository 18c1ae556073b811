// Package sandboxtest is the contract of a sandbox as a suite of tests, and a
// sandbox for simulations that passes it.
package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"
	"time"

	"plague/internal/sandbox"
)

// A Behaviour plays a command. It writes to c.Output, finds its files by Path,
// lets time pass by Sleep, and returns soon after ctx has ended.
type Behaviour func(ctx context.Context, c sandbox.Command) sandbox.Result

// Fake is a sandbox in which nothing runs: Args[0] of a command selects the
// behaviour that plays it. It works inside a synctest bubble.
func Fake(behaviours map[string]Behaviour) sandbox.Sandbox {
	return sandbox.WithLimits(fake{behaviours})
}

type fake struct{ behaviours map[string]Behaviour }

func (f fake) Run(ctx context.Context, c sandbox.Command) (sandbox.Result, error) {
	if len(c.Layers) == 0 || len(c.Args) == 0 || c.Work == "" {
		return sandbox.Result{}, errors.New("a command needs layers, a work folder and arguments")
	}
	play, known := f.behaviours[c.Args[0]]
	if !known {
		fmt.Fprintf(c.Output, "sandbox: %s: no such file or directory\n", c.Args[0])
		return sandbox.Result{ExitCode: 127}, nil
	}
	out := &remember{out: c.Output}
	c.Output = out
	if c.Stdin == nil {
		c.Stdin = strings.NewReader("")
	}
	res := play(ctx, c)
	switch {
	case ctx.Err() != nil:
		return sandbox.Result{ExitCode: -1, Signal: int(syscall.SIGKILL), Reason: sandbox.Killed}, nil
	case out.err != nil:
		return sandbox.Result{}, fmt.Errorf("pass the output on: %w", out.err)
	}
	return res, nil
}

// remember keeps the first error of writing, for behaviours that do not look.
type remember struct {
	out io.Writer
	err error
}

func (r *remember) Write(p []byte) (int, error) {
	n, err := r.out.Write(p)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// Sleep lets d pass, or less if ctx ends; it says whether all of it did.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Path gives the name on the machine of a file that the command knows as inside:
// below the bind with the longest target that holds it. Without one: "".
func Path(c sandbox.Command, inside string) string {
	best, length := "", -1
	for _, b := range c.Binds {
		rest, below := strings.CutPrefix(inside, strings.TrimSuffix(b.Target, "/"))
		if below && (rest == "" || rest[0] == '/') && len(b.Target) > length {
			best, length = path.Join(b.Source, rest), len(b.Target)
		}
	}
	return best
}
