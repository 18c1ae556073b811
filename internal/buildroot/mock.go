package buildroot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"plague"
	"plague/internal/sandbox"
)

// Mock has mock build: it makes its buildroots as its own configurations say, and with
// what a target's own repository has. A process that runs Build has no other children
// meanwhile, for all that it has are killed when mock does not end.
type Mock struct {
	Command   []string            // mock: a path, or what starts it; it becomes root by itself
	Prefix    map[string][]string // by arch: what comes before the command
	ConfigDir string              // --configdir; "": mock's own
	Roots     Roots
	Work      string // one folder for each running build
	UID, GID  int    // mock is started as this, and not as root
	Groups    []int  // of the account, that of mock among them
	User      string // its name
}

// mockBuild is one run of Mock.Build.
type mockBuild struct {
	*Mock
	mockFiles
	spec   Spec
	log    Log
	out    string
	target string // arch for rpmbuild --target
	end    mockEnd
	used   plague.Usage
	had    int64 // bytes free on the disk when it began
	kills  int64 // processes that the kernel killed on this machine meanwhile, for want of memory
}

// Build makes RPMs of spec.SRPM and leaves them in the folder out, with mock's further
// logs. The error is that of ctx if it has ended; everything else that can go wrong is
// the result's Failure. phase is called with each plague.Phase that begins.
func (m *Mock) Build(ctx context.Context, spec Spec, log Log, out string, phase func(string)) (Result, error) {
	b := &mockBuild{Mock: m, spec: spec, log: log, out: out}
	at := plague.Phase("")
	step := func(p plague.Phase) {
		if p != "" && p != at {
			at = p
			phase(string(p))
		}
	}
	step(plague.PhasePrepping)
	names, err := b.make(ctx, step)
	res := Result{RPMs: names, Phase: string(b.failedAt())}
	if err != nil {
		res.RPMs, res.Failure = nil, failure(err, b.failedAt())
	}
	step(plague.PhaseCleanup)
	b.used.Disk = diskUsage(b.dir)
	res.Used = b.used
	if err := m.remove(spec.ID); err != nil && res.Failure == nil {
		res.Failure = failure(fmt.Errorf("remove the buildroot: %w", err), plague.PhaseCleanup)
	}
	if ctx.Err() != nil {
		return res, context.Cause(ctx)
	}
	return res, nil
}

// failedAt is the phase that a failure belongs to: mock has cleaned up when it ends.
func (b *mockBuild) failedAt() plague.Phase {
	if b.end.at.built {
		return plague.PhaseBuilding
	}
	return plague.PhasePrepping
}

func (b *mockBuild) make(ctx context.Context, step func(plague.Phase)) ([]string, error) {
	if err := b.begin(); err != nil {
		return nil, fmt.Errorf("prepare the build: %w", err)
	}
	if err := b.pinned(ctx); err != nil {
		return nil, err
	}
	err := b.run(ctx, step)
	if err == nil {
		if err = b.end.verdict(); err != nil {
			err = b.size(err)
		}
	}
	if lerr := b.keepLogs(); lerr != nil && err == nil {
		err = lerr
	}
	if err != nil {
		return nil, err
	}
	return collect(b.dir, filepath.Base(b.result), b.out)
}

// size says whether a build that failed was too large for this machine.
func (b *mockBuild) size(err error) error {
	ended := sandbox.Result{Signal: b.end.signal, Used: sandbox.Used{Meter: plague.MeterProcess, Kills: b.kills}}
	if b.end.exit > lastMockSignal {
		ended.Signal = endedBy(b.end.exit)
	}
	if short := shortOfMemory(ended, b.end.build); short != nil {
		return short
	}
	if disk := full(b.result); disk != nil {
		return shortOfDisk(disk, saysFull(b.end.build), diskUsage(b.dir), b.had)
	}
	return err
}

// begin makes the folder of this build anew, with its source package and configuration.
func (b *mockBuild) begin() error {
	if err := b.spec.valid(); err != nil {
		return err
	}
	name, target, err := b.spec.source()
	if err != nil {
		return err
	}
	base, err := b.Roots.Config(b.spec.Target, b.spec.root())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.Work, 0o755); err != nil {
		return err
	}
	if err := b.remove(b.spec.ID); err != nil { // of a build with this ID that was killed
		return err
	}
	dir, err := b.folder(b.spec.ID)
	if err != nil {
		return err
	}
	b.target, b.mockFiles = target, mockFilesIn(dir, base, name)
	for _, dir := range []string{b.dir, b.result, b.roots} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if b.had, err = sandbox.FreeDisk(b.dir); err != nil {
		return err
	}
	for _, dir := range []string{b.result, b.roots} { // as /var/lib/mock is of the group mock
		if err := os.Lchown(dir, b.UID, b.GID); err != nil {
			return err
		}
	}
	if err := copyFile(b.srpm, b.spec.SRPM); err != nil {
		return err
	}
	return b.configure(base)
}

// maxMockConfig is the most that is read of a configuration of mock.
const maxMockConfig = 1 << 20

// configure writes mock's configuration for this build.
func (b *mockBuild) configure(base string) error {
	f, err := os.Open(base)
	if err != nil {
		return fmt.Errorf("mock has no configuration for %s on %s: %w", b.spec.Target, b.spec.root(), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMockConfig))
	if err != nil {
		return err
	}
	var own []Repo
	for _, r := range b.spec.Repos {
		if !r.Own {
			continue // mock's configuration says which others
		}
		own = append(own, r)
		if r.CACert == "" {
			continue
		}
		if err := copyFile(b.ca, r.CACert); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("CA certificate of repository %s: %w", r.ID, err)
		}
	}
	config, err := mockConfig(string(text), b.mockFiles, own)
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.config, []byte(config), 0o644); err != nil {
		return err
	}
	// mock makes its caches anew when a configuration is newer than they are
	return os.Chtimes(b.config, info.ModTime(), info.ModTime())
}

// folder is where a build is, without a link on the way: that is what the kernel says
// of the processes in it.
func (m *Mock) folder(id string) (string, error) {
	work, err := filepath.EvalSymlinks(m.Work)
	if err != nil {
		return "", err
	}
	return filepath.Join(work, id), nil
}
