package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/sandbox"
)

// A checkup looks at one thing that a builder or a server needs. look says what is there;
// an error says what is lacking, its hint what to type, and one that is a worry is of
// something that keeps nothing from working yet.
type checkup struct {
	name string
	look func(context.Context) (seen string, err error)
}

// worry is an error that keeps nothing from working yet.
type worry struct{ error }

func (w worry) Unwrap() error { return w.error }

// Verdicts of a finding.
const (
	verdictOK    = "ok"
	verdictWarns = "warns"
	verdictLacks = "lacks"
)

// finding is what came of a checkup.
type finding struct {
	Name    string
	Verdict string
	Seen    string
	Remedy  string // what to type; may be empty
}

// checkTime bounds one checkup.
const checkTime = time.Minute

func (c checkup) run(ctx context.Context) finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	seen, err := c.look(ctx)
	f := finding{Name: c.name, Verdict: verdictOK, Seen: seen}
	if err == nil {
		return f
	}
	f.Verdict, f.Seen = verdictLacks, err.Error()
	if errors.As(err, new(worry)) {
		f.Verdict = verdictWarns
	}
	var r *plague.Refusal
	if errors.As(err, &r) && r.Hint != "" {
		f.Seen, f.Remedy = strings.TrimSuffix(f.Seen, "; "+r.Hint), r.Hint
	}
	return f
}

// lacking says what a machine lacks; nil: nothing.
func lacking(ctx context.Context, checks []checkup) error {
	var all []string
	for _, c := range checks {
		if _, err := c.look(ctx); err != nil && !errors.As(err, new(worry)) {
			all = append(all, c.name+": "+err.Error())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, "; "))
}

// machine is what the builder's machine needs for builds. The warden looks at it again
// and again, and what is lacking suspends the builder; probes are made below dir.
func (c *builderConfig) machine(dir string) []checkup {
	var all []checkup
	switch {
	case c.null:
		return nil
	case c.mock.roots.Mocks():
		all = append(all, checkup{"mock", func(context.Context) (string, error) {
			m, err := c.mock.backend(c.workDir, c.user)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%s as %s", strings.Join(m.Command, " "), c.mock.user), nil
		}})
	}
	for _, ch := range c.native(dir) {
		if !c.mock.roots.Natives() {
			ch.look = worried(ch.look, "no source package can be made of a tag: ")
		}
		all = append(all, ch)
	}
	for _, arch := range c.emulated {
		all = append(all, checkup{"emulator of " + arch, func(context.Context) (string, error) {
			return "it is registered, and opened in advance", buildroot.Emulator(arch)
		}})
	}
	return all
}

// native is what the farm's own buildroots need.
func (c *builderConfig) native(dir string) []checkup {
	return []checkup{
		{"sandbox", func(ctx context.Context) (string, error) {
			took, err := sandbox.Probe(ctx, dir, c.firstUID)
			return fmt.Sprintf("namespaces, overlayfs below %s, no capabilities, seccomp: a command ran in %s", dir, took.Round(time.Millisecond)), err
		}},
		{"programs", func(context.Context) (string, error) {
			seen, err := buildroot.Programs()
			return strings.Join(seen, " "), err
		}},
	}
}

// worried makes what is lacking a worry.
func worried(look func(context.Context) (string, error), why string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		seen, err := look(ctx)
		if err != nil {
			err = worry{fmt.Errorf("%s%w", why, err)}
		}
		return seen, err
	}
}
