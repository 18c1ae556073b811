package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plague/internal/sandbox"
)

// Kit is one kind of sandbox under test.
type Kit struct {
	// New makes the sandbox. A real one runs the suite's shell scripts; a fake one
	// is given who plays them.
	New func(t *testing.T, shell Behaviour) sandbox.Sandbox
	// Command gives layers with /bin/sh, an absent work folder and a uid.
	Command func(t *testing.T) sandbox.Command
	// Around surrounds each test, with a synctest bubble for a fake.
	Around func(t *testing.T, test func(t *testing.T))
}

// scenario is one line of the contract: a script, who plays it for a fake, and
// what must come of it.
type scenario struct {
	name   string
	script string
	play   Behaviour
	change func(t *testing.T, c *sandbox.Command)
	want   sandbox.Result
	output string
}

// Run holds a sandbox to its contract.
func Run(t *testing.T, kit Kit) {
	for _, s := range slices.Concat(results(), streams(), limits()) {
		t.Run(s.name, func(t *testing.T) {
			kit.Around(t, func(t *testing.T) { s.check(t, kit) })
		})
	}
	t.Run("killed", func(t *testing.T) { kit.Around(t, func(t *testing.T) { killed(t, kit) }) })
	t.Run("bind", func(t *testing.T) { kit.Around(t, func(t *testing.T) { bind(t, kit) }) })
	t.Run("broken output", func(t *testing.T) { kit.Around(t, func(t *testing.T) { brokenOutput(t, kit) }) })
	t.Run("no program", func(t *testing.T) { kit.Around(t, func(t *testing.T) { noProgram(t, kit) }) })
	t.Run("no arguments", func(t *testing.T) {
		kit.Around(t, func(t *testing.T) {
			if _, err := kit.New(t, nil).Run(t.Context(), kit.Command(t)); err == nil {
				t.Error("a command without arguments ran")
			}
		})
	})
}

func shell(c sandbox.Command, script string) sandbox.Command {
	c.Args = []string{"/bin/sh", "-c", script}
	c.Env = append(c.Env, "PATH=/usr/bin:/bin")
	return c
}

func (s scenario) check(t *testing.T, kit Kit) {
	c := shell(kit.Command(t), s.script)
	var out Buffer
	c.Output = &out
	if s.change != nil {
		s.change(t, &c)
	}
	res, err := kit.New(t, s.play).Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if res.ExitCode != s.want.ExitCode || res.Signal != s.want.Signal || res.Reason != s.want.Reason {
		t.Errorf("result is %+v, want %+v; output %q", res, s.want, out.String())
	}
	if out.String() != s.output {
		t.Errorf("output is %q, want %q", out.String(), s.output)
	}
	if res.Output != int64(len(s.output)) {
		t.Errorf("result counts %d bytes of output, want %d", res.Output, len(s.output))
	}
	if _, err := os.Stat(c.Work); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the work folder is still there: %v", err)
	}
}

func results() []scenario {
	return []scenario{
		{name: "success", script: "true", play: func(context.Context, sandbox.Command) sandbox.Result { return sandbox.Result{} }},
		{name: "exit code", script: "exit 42",
			play: func(context.Context, sandbox.Command) sandbox.Result { return sandbox.Result{ExitCode: 42} },
			want: sandbox.Result{ExitCode: 42}},
		{name: "exit code of set-up trouble is the command's own", script: "exit 125",
			play: func(context.Context, sandbox.Command) sandbox.Result { return sandbox.Result{ExitCode: 125} },
			want: sandbox.Result{ExitCode: 125}},
		{name: "signal", script: "kill -SEGV $$",
			play: func(context.Context, sandbox.Command) sandbox.Result {
				return sandbox.Result{ExitCode: -1, Signal: 11}
			},
			want: sandbox.Result{ExitCode: -1, Signal: 11}},
		{name: "what the command leaves running is not awaited", script: "sleep 1000 & echo begun",
			play: func(_ context.Context, c sandbox.Command) sandbox.Result {
				fmt.Fprintln(c.Output, "begun")
				return sandbox.Result{}
			},
			output: "begun\n"},
	}
}

func streams() []scenario {
	echo := func(text string) Behaviour {
		return func(_ context.Context, c sandbox.Command) sandbox.Result {
			io.WriteString(c.Output, text)
			return sandbox.Result{}
		}
	}
	return []scenario{
		{name: "both outputs", script: "echo out; echo err >&2", play: echo("out\nerr\n"), output: "out\nerr\n"},
		{name: "environment", script: `echo "$FOO:$USER:$HOME"`,
			play: func(_ context.Context, c sandbox.Command) sandbox.Result {
				for _, e := range c.Env {
					if v, is := strings.CutPrefix(e, "FOO="); is {
						fmt.Fprintf(c.Output, "%s::\n", v)
					}
				}
				return sandbox.Result{}
			},
			change: func(_ *testing.T, c *sandbox.Command) { c.Env = append(c.Env, "FOO=bar") },
			output: "bar::\n"},
		{name: "no input", script: "cat", play: echo("")},
		{name: "input", script: "cat",
			play: func(_ context.Context, c sandbox.Command) sandbox.Result {
				io.Copy(c.Output, c.Stdin)
				return sandbox.Result{}
			},
			change: func(_ *testing.T, c *sandbox.Command) { c.Stdin = strings.NewReader("given\n") },
			output: "given\n"},
		{name: "folder", script: "pwd", play: func(_ context.Context, c sandbox.Command) sandbox.Result {
			fmt.Fprintln(c.Output, c.Dir)
			return sandbox.Result{}
		},
			change: func(_ *testing.T, c *sandbox.Command) { c.Dir = "/tmp" }, output: "/tmp\n"},
	}
}

func limits() []scenario {
	stopped := func(why string) sandbox.Result {
		return sandbox.Result{ExitCode: -1, Signal: 9, Reason: why}
	}
	hang := func(ctx context.Context, c sandbox.Command) sandbox.Result {
		io.WriteString(c.Output, "begun\n")
		Sleep(ctx, 1000*time.Second)
		return sandbox.Result{}
	}
	return []scenario{
		{name: "time-out", script: "trap '' TERM INT HUP; echo begun; (setsid sleep 1000 &); sleep 1000", play: hang,
			change: func(_ *testing.T, c *sandbox.Command) { c.Limits.Wall = 500 * time.Millisecond },
			want:   stopped(sandbox.TimeOut), output: "begun\n"},
		{name: "idle", script: "echo begun; sleep 1000", play: hang,
			change: func(_ *testing.T, c *sandbox.Command) { c.Limits.Idle = 500 * time.Millisecond },
			want:   stopped(sandbox.Idle), output: "begun\n"},
		{name: "not idle", script: "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done",
			play: func(ctx context.Context, c sandbox.Command) sandbox.Result {
				for i := 1; i <= 8; i++ {
					fmt.Fprintln(c.Output, i)
					Sleep(ctx, 100*time.Millisecond)
				}
				return sandbox.Result{}
			},
			change: func(_ *testing.T, c *sandbox.Command) { c.Limits.Idle = 600 * time.Millisecond },
			output: "1\n2\n3\n4\n5\n6\n7\n8\n"},
		{name: "output too long", script: "while :; do echo 0123456; done",
			play: func(ctx context.Context, c sandbox.Command) sandbox.Result {
				for ctx.Err() == nil {
					io.WriteString(c.Output, "0123456\n")
				}
				return sandbox.Result{}
			},
			change: func(_ *testing.T, c *sandbox.Command) { c.Limits.Output = 20 },
			want:   stopped(sandbox.TooLong), output: "0123456\n0123456\n0123"},
		{name: "output as long as it may be", script: "printf 01234567",
			play: func(_ context.Context, c sandbox.Command) sandbox.Result {
				io.WriteString(c.Output, "01234567")
				return sandbox.Result{}
			},
			change: func(_ *testing.T, c *sandbox.Command) { c.Limits.Output = 8 },
			output: "01234567"},
	}
}

func killed(t *testing.T, kit Kit) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := shell(kit.Command(t), "echo begun; sleep 1000")
	c.Output = writer(func([]byte) error { cancel(); return nil })
	c.Limits = sandbox.Limits{Wall: time.Hour, Idle: time.Hour, Output: 1 << 20}
	res, err := kit.New(t, func(ctx context.Context, c sandbox.Command) sandbox.Result {
		io.WriteString(c.Output, "begun\n")
		Sleep(ctx, 1000*time.Second)
		return sandbox.Result{}
	}).Run(ctx, c)
	if err != nil || res.Reason != sandbox.Killed || res.OK() {
		t.Errorf("killed by its context: %+v, %v", res, err)
	}
}

func bind(t *testing.T, kit Kit) {
	c := shell(kit.Command(t), "cat /shared/in; echo made > /shared/out; echo no > /fixed/in")
	var out Buffer
	c.Output = &out
	shared, fixed := t.TempDir(), t.TempDir()
	if err := os.Chown(shared, c.UID, c.GID); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{shared, fixed} {
		if err := os.WriteFile(filepath.Join(d, "in"), []byte("seen\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c.Binds = append(c.Binds, sandbox.Bind{Source: shared, Target: "/shared"}, sandbox.Bind{Source: fixed, Target: "/fixed", ReadOnly: true})
	res, err := kit.New(t, func(_ context.Context, c sandbox.Command) sandbox.Result {
		in, _ := os.ReadFile(Path(c, "/shared/in"))
		c.Output.Write(in)
		if os.WriteFile(Path(c, "/shared/out"), []byte("made\n"), 0o644) != nil {
			return sandbox.Result{ExitCode: 1}
		}
		return sandbox.Result{ExitCode: 2} // /fixed is read-only
	}).Run(t.Context(), c)
	if err != nil || res.ExitCode != 2 && res.ExitCode != 1 || !strings.HasPrefix(out.String(), "seen\n") {
		t.Errorf("bind: %+v, %v, %q", res, err, out.String())
	}
	if made, err := os.ReadFile(filepath.Join(shared, "out")); err != nil || string(made) != "made\n" {
		t.Errorf("the file made inside is %q, %v", made, err)
	}
	if in, err := os.ReadFile(filepath.Join(fixed, "in")); err != nil || string(in) != "seen\n" {
		t.Errorf("the read-only file is %q, %v", in, err)
	}
}

func brokenOutput(t *testing.T, kit Kit) {
	full := errors.New("disk is full")
	c := shell(kit.Command(t), "echo lost; sleep 1")
	c.Output = writer(func([]byte) error { return full })
	_, err := kit.New(t, func(_ context.Context, c sandbox.Command) sandbox.Result {
		io.WriteString(c.Output, "lost\n")
		return sandbox.Result{}
	}).Run(t.Context(), c)
	if !errors.Is(err, full) {
		t.Errorf("output that cannot be written gives %v", err)
	}
}

func noProgram(t *testing.T, kit Kit) {
	c := kit.Command(t)
	c.Args = []string{"/no/such/program"}
	var out Buffer
	c.Output = &out
	res, err := kit.New(t, nil).Run(t.Context(), c)
	if err != nil || res.ExitCode != 127 || !strings.Contains(out.String(), "/no/such/program") {
		t.Errorf("a program that is not there: %+v, %v, %q", res, err, out.String())
	}
}

type writer func(p []byte) error

func (w writer) Write(p []byte) (int, error) {
	if err := w(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Buffer keeps what is written; it may be read meanwhile.
type Buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
