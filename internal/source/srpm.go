package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/sandbox"
)

// A Maker packs a tree into a source package. Makefile and spec are somebody's
// code: they run in the sandbox, as a user of their own.
type Maker struct {
	Sandbox sandbox.Sandbox
	Layers  []string       // root folder in which it happens, topmost first: a target's base layer, with rpmbuild and make
	Binds   []sandbox.Bind // usually none
	Work    string         // a folder of this run: made anew, and removed

	UID, GID           int // of the slot
	FetchUID, FetchGID int // of the user who fetches, for a target with Network; below 1: this process

	Personality32 bool              // as in sandbox.Command
	Macros        map[string]string // of the target, such as dist
	Limits        sandbox.Limits    // zero fields have defaults
	Log           io.Writer         // output of rpmbuild or make; default: nowhere
}

// An SRPM is a source package that has been verified.
type SRPM struct {
	plague.Artifact
	NEVRA rpm.NEVRA
}

// maxSRPM bounds the source package itself.
const maxSRPM = 16 << 30

// roomToPack is how often what was fetched may lie on the disk while it is packed.
const roomToPack = 4

// SRPM makes the source package of a tree that Fetch has written for the plan, and
// puts it into the folder out under its own name. It is exactly one, whole, and of
// the package that was asked for. The tree is given to the slot's user, and is as
// good as gone afterwards.
func (m Maker) SRPM(ctx context.Context, p Plan, dir, out string) (SRPM, error) {
	if m.Log == nil {
		m.Log = io.Discard
	}
	m.Limits = makeDefaults(m.Limits)
	s, err := m.make(ctx, p, dir, out)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return SRPM{}, fmt.Errorf("make the SRPM of %s %s: %w", p.Package, p.Tag, err)
	}
	return s, nil
}

// makeDefaults fills the limits that are left open. Packing takes seconds; some
// kernels pack for minutes.
func makeDefaults(l sandbox.Limits) sandbox.Limits {
	if l.Wall == 0 {
		l.Wall = time.Hour
	}
	if l.Output == 0 {
		l.Output = 64 << 20
	}
	if l.FileSize == 0 {
		l.FileSize = maxSRPM
	}
	if l.Procs == 0 {
		l.Procs = 1024
	}
	return l
}

// Where things are inside: the tree in a folder called after its package, what
// comes out in one that no package is called after.
const (
	homeInside = "/builddir"
	outFolder  = ".srpms"
)

func (m Maker) make(ctx context.Context, p Plan, dir, out string) (SRPM, error) {
	if err := os.Mkdir(m.Work, 0o700); err != nil {
		return SRPM{}, err
	}
	defer os.RemoveAll(m.Work)
	tree, err := os.OpenRoot(dir)
	if err != nil {
		return SRPM{}, err
	}
	defer tree.Close()
	home, err := m.home()
	if err != nil {
		return SRPM{}, err
	}
	defer home.Close()
	args, err := m.args(p, tree, home)
	if err != nil {
		return SRPM{}, err
	}
	if err := errors.Join(m.give(home), m.give(tree)); err != nil {
		return SRPM{}, err
	}
	binds, err := m.accounts()
	if err != nil {
		return SRPM{}, err
	}
	program := args[0]
	if p.cfg.Network {
		door, err := m.openDoor(ctx, p)
		if err != nil {
			return SRPM{}, err
		}
		defer door.close()
		args, binds = append([]string{relayName}, args...), append(binds, door.binds...)
	}
	inside := path.Join(homeInside, p.Package)
	said := &tail{}
	limited, stop := watch(ctx, roomToPack*p.cfg.Limits.withDefaults().Bytes, m.Work, dir)
	defer stop()
	res, err := m.Sandbox.Run(limited, sandbox.Command{
		Layers: m.Layers, Work: filepath.Join(m.Work, "run"), UID: m.UID, GID: m.GID,
		Binds: slices.Concat(m.Binds, binds, []sandbox.Bind{{Source: home.Name(), Target: homeInside}, {Source: dir, Target: inside}}),
		Args:  args, Dir: path.Join(inside, p.dir()), Output: io.MultiWriter(m.Log, said),
		Env: []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=" + homeInside, "LC_ALL=C.UTF-8", "TERM=dumb", "SHELL=/bin/sh", "USER=build", "LOGNAME=build"},

		Personality32: m.Personality32, Limits: m.Limits,
	})
	if limited.Err() != nil {
		return SRPM{}, context.Cause(limited)
	}
	if err == nil {
		err = verdict(program, res, said)
	}
	if err != nil {
		return SRPM{}, err
	}
	return collect(p, home, tree, out)
}

// args is what runs: make srpm, or rpmbuild on the spec, for which every folder
// is the tree.
func (m Maker) args(p Plan, tree, home *os.Root) ([]string, error) {
	if info, err := tree.Stat(p.dir()); err != nil || !info.IsDir() {
		return nil, refuse("could not find checkout directory %q: sources probably don't exist for this target", path.Join(p.Package, p.dir()), "add the branch, or name another target")
	}
	folder := path.Join(homeInside, p.Package, p.dir())
	macros := map[string]string{"_topdir": homeInside, "_srcrpmdir": path.Join(homeInside, outFolder), "_sourcedir": folder, "_specdir": folder, "_buildhost": "builder"}
	for name, value := range m.Macros {
		if !macroName.MatchString(name) || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("macro %q cannot have the value %q", name, value)
		}
		macros[name] = value
	}
	if p.cfg.Layout == Make {
		return makeArgs(p, tree, home, macros)
	}
	spec, err := findSpec(p, tree)
	if err != nil {
		return nil, err
	}
	args := []string{"rpmbuild", "-bs", "--nodeps"}
	for _, name := range slices.Sorted(maps.Keys(macros)) {
		args = append(args, "--define", name+" "+macros[name])
	}
	return append(args, path.Join(folder, spec)), nil
}

var macroName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// findSpec names the spec: <package>.spec, or the only one.
func findSpec(p Plan, tree *os.Root) (string, error) {
	entries, err := fs.ReadDir(tree.FS(), p.dir())
	if err != nil {
		return "", err
	}
	var specs []string
	for _, e := range entries {
		if e.Name() == p.Package+".spec" {
			return e.Name(), nil
		}
		if strings.HasSuffix(e.Name(), ".spec") {
			specs = append(specs, e.Name())
		}
	}
	if len(specs) != 1 {
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the sources have %d spec files and none is %s.spec", len(specs), p.Package), "name the spec after its package")
	}
	return specs[0], nil
}

// makeArgs is make srpm. Makefiles of then call rpmbuild with macros of their own;
// the target's reach it all the same, from a file in the home folder.
func makeArgs(p Plan, tree, home *os.Root, macros map[string]string) ([]string, error) {
	dir, old, err := find(tree, p.dir())
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if len(old) > 0 {
		return nil, refuse("the tree has a source package of its own, %q", old[0], "take it out of the source control system")
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(macros)) {
		fmt.Fprintf(&text, "%%%s %s\n", name, macros[name])
	}
	return []string{"make", "srpm"}, home.WriteFile(".rpmmacros", []byte(text.String()), 0o644)
}

// verdict says whose trouble a failed rpmbuild or make is.
func verdict(program string, res sandbox.Result, said *tail) error {
	switch {
	case res.OK():
		return nil
	case res.Reason != "":
		return refuse(program+" was stopped: %q", res.Reason, "make the source package smaller, or its making faster")
	case res.Signal != 0: // nothing inside but the kernel, out of memory, would do that
		return fmt.Errorf("%s was ended by signal %d", program, res.Signal)
	case res.ExitCode == 126 || res.ExitCode == 127:
		return fmt.Errorf("the buildroot has no %s: %s", program, said.lastLine())
	}
	return refuse(program+" failed: %q", said.lastLine(), "the log says why")
}
