package buildroot

import (
	"cmp"
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
	"syscall"

	"plague"
	"plague/internal/rpm"
	"plague/internal/sandbox"
)

// maxRounds bounds how often a package may ask for more BuildRequires.
const maxRounds = 8

// askedForMore is rpmbuild's exit code for "install these and call me again".
const askedForMore = 11

func (b *build) builddir() string { return filepath.Join(b.own, "builddir") }

// requires installs what a source package, or a list that %generate_buildrequires
// made, needs beyond what is there.
func (b *build) requires(ctx context.Context, source string) error {
	b.rounds++
	name := filepath.Join(b.dnf.dir, fmt.Sprintf("requires%d", b.rounds))
	g, err := b.tree.haunt(name, b.db, b.dnf.give)
	if err != nil {
		return err
	}
	dir, names, err := b.dnf.download(ctx, g, "builddep", "--srpm", source)
	var t *trouble
	if errors.As(err, &t) {
		return packageTrouble("BuildRequires: %s; root.log says more", t.text)
	}
	if err != nil || len(names) == 0 {
		return err
	}
	b.say("%d packages for the BuildRequires", len(names))
	upper := filepath.Join(b.own, filepath.Base(name))
	if err := os.Mkdir(upper, 0o755); err != nil {
		return err
	}
	if err := b.install(ctx, b.own, b.tree, upper, rpms{dir, names}, b.spec, b.log.Root); err != nil {
		return err
	}
	b.tree = append(tree{upper}, b.tree...)
	b.has = append(b.has, names...)
	return nil
}

// rpmbuild builds, and installs what the package asks for on the way.
func (b *build) rpmbuild(ctx context.Context, step func(plague.Phase)) error {
	for range maxRounds {
		end := &tail{max: 64 << 10}
		c, err := b.command(io.MultiWriter(b.log.Build, end))
		if err != nil {
			return err
		}
		res, err := b.Sandbox.Run(ctx, c)
		b.used.Memory, b.used.Meter = max(b.used.Memory, res.Used.Memory), res.Used.Meter
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("build: %w", err)
		case res.OK():
			return nil
		case res.ExitCode != askedForMore:
			return b.verdict(res, end.String())
		}
		list, err := b.moreRequires()
		if err != nil {
			return err
		}
		step(plague.PhasePrepping)
		if err := b.requires(ctx, list); err != nil {
			return err
		}
		step(plague.PhaseBuilding)
	}
	return packageTrouble("the package asked for more BuildRequires %d times and is still not content", maxRounds)
}

// verdict says whose trouble a failed rpmbuild is.
func (b *build) verdict(res sandbox.Result, said string) error {
	if err := shortOfMemory(res, said); err != nil {
		return err
	}
	b.filled = saysFull(said)
	if err := full(b.own); err != nil {
		return err
	}
	if b.filled && res.Used.Meter != "" && res.Used.FreeDisk < leastFree {
		return fmt.Errorf("the disk below %s was full", b.dir)
	}
	b.filled = false
	if res.Reason != "" {
		return packageTrouble("rpmbuild was stopped after %s: %s", res.Took.Round(1e9), res.Reason)
	}
	if res.Signal != 0 && res.Used.Meter == "" { // it may have been the kernel, out of memory
		return fmt.Errorf("rpmbuild was ended by signal %d", res.Signal)
	}
	if res.Signal != 0 { // by what it built: that runs as the same account
		return packageTrouble("rpmbuild was ended by signal %d, and not for want of memory", res.Signal)
	}
	if res.ExitCode == 126 || res.ExitCode == 127 {
		return fmt.Errorf("the buildroot has no rpmbuild: %s", lastLine(said))
	}
	return rpmbuildFailed(res.ExitCode, said)
}

// leastFree is below what a disk is full.
const leastFree = 64 << 20

// full is an error when there is no room for builds on the disk of a folder: what
// failed on it is not the package's doing.
func full(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err == nil && st.Bavail*uint64(st.Bsize) < leastFree {
		return fmt.Errorf("the disk below %s is full", filepath.Dir(dir))
	}
	return nil
}

// rpmbuildFailed says which part of the package's spec failed, if rpmbuild did.
func rpmbuildFailed(exit int, said string) error {
	if m := regexp.MustCompile(`Bad exit status from \S+ \((%\w+)\)`).FindStringSubmatch(said); m != nil {
		return packageTrouble("%s failed; build.log says why", m[1])
	}
	return packageTrouble("rpmbuild failed with exit %d: %s", exit, rpmError(said))
}

// rpmError is what rpmbuild gave as its last error; else the last thing it said.
func rpmError(said string) string {
	if all := regexp.MustCompile(`(?m)^ *error: .*$`).FindAllString(said, -1); len(all) > 0 {
		return strings.TrimSpace(all[len(all)-1])
	}
	return lastLine(said)
}

// moreRequires takes the list that rpmbuild has left to where dnf can read it.
func (b *build) moreRequires() (string, error) {
	root, err := os.OpenRoot(b.builddir())
	if err != nil {
		return "", err
	}
	defer root.Close()
	names, err := fs.Glob(root.FS(), "SRPMS/*.buildreqs.nosrc.rpm")
	if err != nil || len(names) != 1 {
		return "", packageTrouble("rpmbuild asked for more BuildRequires and left %d lists of them", len(names))
	}
	list := filepath.Join(b.dnf.dir, "buildreqs.nosrc.rpm")
	if err := os.Remove(list); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := copyOut(list, root, names[0], maxSmallFile); err != nil {
		return "", err
	}
	return list, root.Remove(names[0])
}

func (s Spec) host() string { return cmp.Or(s.BuildHost, "builder") }

// defines are the macros as arguments, of rpmbuild as of mock.
func (s Spec) defines() ([]string, error) {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(s.Macros)) {
		value := s.Macros[name]
		if !macroName.MatchString(name) || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("macro %q cannot have the value %q", name, value)
		}
		args = append(args, "--define", name+" "+value)
	}
	return args, nil
}

var macroName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// command is rpmbuild in its sandbox.
func (b *build) command(out io.Writer) (sandbox.Command, error) {
	s := b.spec
	host := s.host()
	args := []string{"rpmbuild", "--rebuild", "--target", b.target, "--define", "_topdir /builddir", "--define", "_buildhost " + host}
	defines, err := s.defines()
	if err != nil {
		return sandbox.Command{}, err
	}
	args = append(args, defines...)
	env := []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/builddir", "LC_ALL=C.UTF-8", "TERM=dumb", "SHELL=/bin/sh", "USER=build", "LOGNAME=build"}
	if s.SourceDateEpoch > 0 {
		env = append(env, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", s.SourceDateEpoch))
		args = append(args, "--define", "use_source_date_epoch_as_buildtime 1", "--define", "clamp_mtime_to_source_date_epoch 1")
	}
	binds, err := b.accounts(host)
	if err != nil {
		return sandbox.Command{}, err
	}
	return sandbox.Command{
		Layers: b.tree, Work: filepath.Join(b.own, "run"), UID: s.UID, GID: s.GID,
		Binds: append(binds, sandbox.Bind{Source: b.builddir(), Target: "/builddir"}),
		Args:  append(args, path.Join("/builddir", b.srpm)), Env: env, Dir: "/builddir", Hostname: host,
		Output: out, Personality32: rpm.Is32(s.root()), Limits: withDefaults(s.Limits),
	}, nil
}

// accounts lays three files over the tree's: the slot's user has a name there,
// and the host name an address.
func (b *build) accounts(host string) ([]sandbox.Bind, error) {
	dir := filepath.Join(b.own, "etc")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	more := map[string]string{
		"passwd": fmt.Sprintf("build:x:%d:%d::/builddir:/bin/sh\n", b.spec.UID, b.spec.GID),
		"group":  fmt.Sprintf("build:x:%d:\n", b.spec.GID),
		"hosts":  fmt.Sprintf("127.0.0.1 localhost %s\n::1 localhost %s\n", host, host),
	}
	var binds []sandbox.Bind
	for name, line := range more {
		var before []byte
		if name != "hosts" {
			var err error
			if before, err = b.tree.readFile("etc/" + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if len(before) > 0 && before[len(before)-1] != '\n' {
				before = append(before, '\n')
			}
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, append(before, line...), 0o644); err != nil {
			return nil, err
		}
		binds = append(binds, sandbox.Bind{Source: file, Target: "/etc/" + name, ReadOnly: true})
	}
	return binds, nil
}
