package buildroot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"plague/internal/rpm"
	"plague/internal/sandbox"
)

// rpms is a folder of verified RPMs to be installed together.
type rpms struct {
	dir   string
	names []string
}

func (r rpms) paths() []string {
	all := make([]string, len(r.names))
	for i, name := range r.names {
		all[i] = path.Join(rpmsInside, name)
	}
	return all
}

// rpmsInside is where a sandbox sees the RPMs to install.
const rpmsInside = "/.rpms"

// firstDB is where rpm keeps its database while a first layer is installed. The
// target's own rpm, which is not there yet, says later where it belongs.
const firstDB = "/.rpmdb"

// rpmInstall is the command line before the files: packages of the own
// repository are not signed yet, their digests are checked.
func rpmInstall(options ...string) []string {
	return append([]string{"rpm", "-U", "--define", "_pkgverify_level digest"}, options...)
}

func installEnv() []string {
	return []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"}
}

// installFirst installs into the empty folder root, by this machine's rpm: the
// target's is among what is installed. It runs in a sandbox that sees this
// machine's programs, the RPMs and the new root, and no network; scriptlets are
// called there, in the new root.
func (n *Native) installFirst(ctx context.Context, work, root string, r rpms, s Spec, log io.Writer) error {
	toolbox := filepath.Join(work, "tools")
	binds, err := sandbox.HostTools(toolbox)
	if err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	options := []string{"--noplugins", "--root", "/mnt", "--dbpath", firstDB}
	if Emulated(s.root()) {
		options = append(options, "--ignorearch") // this rpm knows the processor alone
	}
	return n.run(ctx, "install the base", sandbox.Command{
		Layers: []string{toolbox}, Work: filepath.Join(work, "run"),
		Binds:  append(binds, sandbox.Bind{Source: r.dir, Target: rpmsInside, ReadOnly: true}, sandbox.Bind{Source: root, Target: "/mnt"}),
		Nested: "/mnt", Caps: sandbox.CapsInstall,
		Args: append(rpmInstall(options...), r.paths()...),
		Env:  installEnv(), Output: log, Personality32: rpm.Is32(s.root()), Limits: installLimits(),
	})
}

// install adds packages to a tree, by the rpm in it; what changes lands in upper.
func (n *Native) install(ctx context.Context, work string, t tree, upper string, r rpms, s Spec, log io.Writer) error {
	err := n.run(ctx, "install packages", sandbox.Command{
		Layers: t, Upper: upper, Work: filepath.Join(work, "run"),
		Binds: []sandbox.Bind{{Source: r.dir, Target: rpmsInside, ReadOnly: true}},
		Caps:  sandbox.CapsInstall, Args: append(rpmInstall(), r.paths()...),
		Env: installEnv(), Output: log, Personality32: rpm.Is32(s.root()), Limits: installLimits(),
	})
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join(upper, rpmsInside)) // what the bind was laid on
}

// run runs a step of ours that has to succeed. That it does not is the farm's
// trouble, or its target's: nothing of the package to build has a say in it.
func (n *Native) run(ctx context.Context, what string, c sandbox.Command) error {
	end := &tail{max: 4 << 10}
	c.Output = io.MultiWriter(c.Output, end)
	res, err := n.Sandbox.Run(ctx, c)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case !res.OK():
		return fmt.Errorf("%s: %s: %s", what, ending(res), lastLine(end.String()))
	}
	return nil
}

// ending says in words how a command that failed ended.
func ending(res sandbox.Result) string {
	switch {
	case res.Reason != "":
		return res.Reason
	case res.Signal != 0:
		return fmt.Sprintf("signal %d", res.Signal)
	}
	return fmt.Sprintf("exit %d", res.ExitCode)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// ask gives the output of a program in the tree, run as the slot's user.
func (n *Native) ask(ctx context.Context, work string, t tree, s Spec, args ...string) (string, error) {
	var out bytes.Buffer
	err := n.run(ctx, "ask the target's "+args[0], sandbox.Command{
		Layers: t, Work: filepath.Join(work, "run"), UID: s.UID, GID: s.GID, Args: args,
		Env: installEnv(), Output: &out, Limits: sandbox.Limits{Wall: installLimits().Wall, Output: maxSmallFile},
	})
	return out.String(), err
}

// moveDB puts rpm's database where the target's own rpm looks for it, and checks
// that it reads there what was written: format and place differ between releases.
func (n *Native) moveDB(ctx context.Context, work, root string, s Spec, count int) (dbpath string, err error) {
	said, err := n.ask(ctx, work, tree{root}, s, "rpm", "--eval", "%{_dbpath}")
	if err != nil {
		return "", err
	}
	dbpath = lastLine(said) // before it there may be warnings, of a locale that is not there for example
	if !path.IsAbs(dbpath) || path.Clean(dbpath) != dbpath || dbpath == "/" || strings.ContainsAny(dbpath, "\n%") {
		return "", fmt.Errorf("the target's rpm has its database at %q", dbpath)
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	if err := dir.MkdirAll(path.Dir(dbpath)[1:], 0o755); err != nil {
		return "", err
	}
	if err := dir.RemoveAll(dbpath[1:]); err != nil {
		return "", err
	}
	if err := dir.Rename(firstDB[1:], dbpath[1:]); err != nil {
		return "", fmt.Errorf("move the database of rpm: %w", err)
	}
	said, err = n.ask(ctx, work, tree{root}, s, "rpm", "-qa", "--qf", "%{name}\\n")
	if err != nil {
		return "", err
	}
	if got := strings.Count(said, "\n"); got != count {
		return "", fmt.Errorf("the target's rpm sees %d of the %d packages of its base: its database has another format than this machine's", got, count)
	}
	return dbpath, nil
}
