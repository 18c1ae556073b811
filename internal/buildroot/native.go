package buildroot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/sandbox"
)

// Native builds in overlays of cached layers: the base (one for each state of the
// base repositories), what the target's own repository has newer, and the
// BuildRequires of this one package. Several processes may share its folders.
type Native struct {
	Cache   string // layers, and what dnf downloads; may be deleted while nothing builds
	Work    string // one folder for each running build, on the file system of Cache or another
	Layers  int    // layers that are kept; default 16
	Sandbox sandbox.Sandbox
}

// build is one run of Native.Build.
type build struct {
	*Native
	spec   Spec
	log    Log
	dir    string // WORK/ID
	own    string // below it, for root alone
	dnf    *dnf
	srpm   string // name of the source package: name-version-release.src.rpm
	target string // arch for rpmbuild --target
	db     string // rpm's database in the tree
	tree   tree
	held   []layer

	used   plague.Usage
	had    int64    // bytes free on the disk when it began
	filled bool     // rpmbuild says that the disk is full, and it was
	rounds int      // how often BuildRequires were asked for
	has    []string // RPMs that were installed for this package alone
}

// Build makes RPMs of spec.SRPM and leaves them in the folder out. The error is
// that of ctx if it has ended; everything else that can go wrong is the result's
// Failure. phase is called with each plague.Phase that begins.
func (n *Native) Build(ctx context.Context, spec Spec, log Log, out string, phase func(string)) (Result, error) {
	b := &build{Native: n, spec: spec, log: log, dir: filepath.Join(n.Work, spec.ID)}
	at := plague.PhasePrepping
	step := func(p plague.Phase) { at = p; phase(string(p)) }
	names, err := b.make(ctx, out, step)
	res := Result{RPMs: names, Phase: string(at)}
	b.used.Disk = diskUsage(b.own)
	if err != nil {
		err = shortOfDisk(err, b.filled, b.used.Disk, b.had)
		res.RPMs, res.Failure = nil, failure(err, at)
	}
	phase(string(plague.PhaseCleanup))
	res.Used = b.used
	for _, l := range b.held {
		l.release()
	}
	if err := os.RemoveAll(b.dir); err != nil && res.Failure == nil {
		res.Failure = failure(fmt.Errorf("remove the buildroot: %w", err), plague.PhaseCleanup)
	}
	if ctx.Err() != nil {
		return res, context.Cause(ctx)
	}
	return res, nil
}

func (b *build) make(ctx context.Context, out string, step func(plague.Phase)) ([]string, error) {
	step(plague.PhasePrepping)
	begun := time.Now()
	if err := b.begin(); err != nil {
		return nil, fmt.Errorf("prepare the build: %w", err)
	}
	if err := b.base(ctx); err != nil {
		return nil, err
	}
	if err := b.requires(ctx, filepath.Join(b.dnf.dir, b.srpm)); err != nil {
		return nil, err
	}
	b.say("buildroot ready after %.3f s", time.Since(begun).Seconds())
	step(plague.PhaseBuilding)
	err := errors.Join(b.rpmbuild(ctx, step), b.tellInstalled(out))
	if err != nil {
		return nil, err
	}
	names, err := collect(b.builddir(), "RPMS", out)
	if err != nil {
		return nil, err
	}
	b.say("built %s", strings.Join(names, " "))
	return names, nil
}

func (b *build) say(format string, args ...any) {
	fmt.Fprintf(b.log.Job, format+"\n", args...)
}

// begin makes the folders of this build and looks at the source package.
func (b *build) begin() error {
	if err := b.sourceName(); err != nil {
		return err
	}
	if err := b.folders(); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(b.dnf.dir, b.srpm), b.spec.SRPM); err != nil {
		return err
	}
	if err := os.Mkdir(b.builddir(), 0o755); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(b.builddir(), b.srpm), b.spec.SRPM); err != nil {
		return err
	}
	return os.Lchown(b.builddir(), b.spec.UID, b.spec.GID)
}

// valid checks what becomes names of folders and arguments of programs.
func (s Spec) valid() error {
	if s.ID == "" || s.ID != filepath.Base(s.ID) || strings.HasPrefix(s.ID, ".") {
		return fmt.Errorf("%q cannot name a folder", s.ID)
	}
	if strings.ContainsAny(s.Target, "/\x00\n") {
		return fmt.Errorf("%q is no target", s.Target)
	}
	for _, arch := range []string{s.Arch, s.root()} {
		if err := rpm.ValidArch(arch); err != nil {
			return err
		}
	}
	return nil
}

// folders makes the folders of this build anew.
func (b *build) folders() error {
	s := b.spec
	if err := s.valid(); err != nil {
		return err
	}
	for _, dir := range []string{b.Work, b.Cache} { // the user of downloads passes through
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	if Emulated(s.root()) {
		if err := Emulator(s.root()); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(b.dir); err != nil { // of a build with this ID that was killed
		return err
	}
	if err := os.Mkdir(b.dir, 0o711); err != nil {
		return err
	}
	b.own = filepath.Join(b.dir, "own")
	var err error
	if b.had, err = sandbox.FreeDisk(b.dir); err != nil {
		return err
	}
	if err := os.Mkdir(b.own, 0o700); err != nil {
		return err
	}
	b.dnf = &dnf{dir: filepath.Join(b.dir, "fetch"), cache: filepath.Join(b.Cache, fmt.Sprintf("dnf-%d", max(s.FetchUID, 0))),
		arch: s.root(), uid: s.FetchUID, gid: s.FetchGID, repos: s.Repos, log: b.log.Root}
	return b.dnf.begin()
}

// sourceName reads what the source package calls itself.
func (b *build) sourceName() (err error) {
	b.srpm, b.target, err = b.spec.source()
	return err
}

// source gives the name that the source package has by its own header, and the arch
// that rpmbuild shall build it for.
func (s Spec) source() (name, target string, err error) {
	f, err := os.Open(s.SRPM)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	h, err := rpm.ReadHeader(f)
	if errors.Is(err, rpm.ErrNotRPM) {
		return "", "", packageTrouble("the source package cannot be read: %v", err)
	}
	if err != nil {
		return "", "", err
	}
	if !h.IsSource() {
		return "", "", packageTrouble("%s is no source package", h.NEVRA())
	}
	target = s.Arch
	if target == rpm.Noarch && h.Arches().NoarchOnly() {
		target = s.root() // rpmbuild holds ExclusiveArch and ExcludeArch against its target
	}
	return h.NEVRA().Filename(), target, nil
}

// base brings the layers that this build shares with others.
func (b *build) base(ctx context.Context) error {
	var common, own []Repo
	for _, r := range b.spec.Repos {
		if r.Own {
			own = append(own, r)
		} else {
			common = append(common, r)
		}
	}
	if err := b.resolvePins(ctx); err != nil {
		return err
	}
	key := layerKey("base", b.spec.root(), b.states(common), strings.Join(slices.Sorted(slices.Values(b.spec.Base)), " "))
	if err := b.take(ctx, "base", key, func(dir string) error { return b.makeBase(ctx, dir, common) }); err != nil {
		return err
	}
	db, err := os.ReadFile(filepath.Join(b.held[0].dir, "dbpath"))
	if err != nil {
		return err
	}
	b.db = string(db)
	if len(own) == 0 {
		return nil
	}
	return b.take(ctx, "update", layerKey("update", key, b.states(own)), func(dir string) error { return b.makeUpdate(ctx, dir) })
}

// take puts a layer on top of the tree.
func (b *build) take(ctx context.Context, what, key string, make func(dir string) error) error {
	begun := time.Now()
	l, made, err := b.layer(ctx, key, make)
	if err != nil {
		var t *trouble
		if errors.As(err, &t) { // the same words from dnf, but it was not the package that asked
			err = errors.New(t.text)
		}
		return fmt.Errorf("%s layer: %w", what, err)
	}
	b.held = append(b.held, l)
	b.tree = append(tree{l.root()}, b.tree...)
	how := "from the cache"
	if made {
		how = fmt.Sprintf("made in %.1f s", time.Since(begun).Seconds())
	}
	b.say("%s layer %s %s", what, key, how)
	return nil
}

func (b *build) makeBase(ctx context.Context, dir string, common []Repo) error {
	g, err := tree{}.haunt(filepath.Join(b.dnf.dir, "base"), "/var/lib/rpm", b.dnf.give)
	if err != nil {
		return err
	}
	only := make([]string, 0, len(common)+1)
	only = append(only, "--disablerepo=*")
	for _, r := range common {
		only = append(only, "--enablerepo="+r.dnfID())
	}
	rpmdir, names, err := b.dnf.download(ctx, g, slices.Concat(only, []string{"install"}, b.spec.Base)...)
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	if err := b.installFirst(ctx, b.own, root, rpms{rpmdir, names}, b.spec, b.log.Root); err != nil {
		return err
	}
	db, err := b.moveDB(ctx, b.own, root, b.spec, len(names))
	if err != nil {
		return err
	}
	if err := noteInstalled(dir, names); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "dbpath"), []byte(db), 0o600)
}

// makeUpdate installs what the own repository has newer than the base.
func (b *build) makeUpdate(ctx context.Context, dir string) error {
	upper := filepath.Join(dir, "root")
	if err := os.Mkdir(upper, 0o755); err != nil {
		return err
	}
	g, err := b.tree.haunt(filepath.Join(b.dnf.dir, "update"), b.db, b.dnf.give)
	if err != nil {
		return err
	}
	rpmdir, names, err := b.dnf.download(ctx, g, "upgrade")
	if err != nil {
		return err
	}
	if err := noteInstalled(dir, names); err != nil || len(names) == 0 {
		return err
	}
	return b.install(ctx, dir, b.tree, upper, rpms{rpmdir, names}, b.spec, b.log.Root)
}

// resolvePins gives repositories that are not pinned the state that they have now.
func (b *build) resolvePins(ctx context.Context) error {
	if !slices.ContainsFunc(b.spec.Repos, func(r Repo) bool { return r.RepomdSHA256 == "" }) {
		return nil
	}
	g, err := tree{}.haunt(filepath.Join(b.dnf.dir, "pins"), "/var/lib/rpm", b.dnf.give)
	if err != nil {
		return err
	}
	_, _, err = b.dnf.download(ctx, g, "makecache")
	return err
}

// states is what the content of layers made from these repositories follows from.
func (b *build) states(repos []Repo) string {
	var all []string
	for _, r := range repos {
		state := r.RepomdSHA256
		if state == "" {
			state, _ = b.dnf.repomd(r) // "" cannot be: resolvePins has just fetched it
		}
		all = append(all, state)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
