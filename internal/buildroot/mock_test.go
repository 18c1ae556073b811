package buildroot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/buildroot"
)

// newMockFarm is a farm whose builder has mock: the stand-in of the tests.
func newMockFarm(t *testing.T) *farm {
	t.Helper()
	f := newFarm(t)
	standIn, err := filepath.Abs("testdata/mock")
	if err != nil {
		t.Fatal(err)
	}
	configs := filepath.Join(f.dir, "mock-configs")
	if err := os.Mkdir(configs, 0o755); err != nil {
		t.Fatal(err)
	}
	f.mock = &buildroot.Mock{Command: []string{standIn}, ConfigDir: configs, Work: filepath.Join(f.dir, "mock"),
		Roots: buildroot.Roots{Backend: buildroot.BackendMock, Distro: "lab", Repo: "extras", Dir: configs}}
	if err := os.Mkdir(f.mock.Work, 0o755); err != nil {
		t.Fatal(err)
	}
	return f
}

// configureMock writes the configuration that an administrator would: it has the
// repositories that are not the farm's own, and a file that it includes.
func (f *farm) configureMock(t *testing.T, s buildroot.Spec) {
	t.Helper()
	var repos strings.Builder
	for _, r := range s.Repos {
		if !r.Own {
			fmt.Fprintf(&repos, "[%s]\nname=%s\nbaseurl=%s\n", r.ID, r.ID, r.URL)
		}
	}
	for name, text := range map[string]string{
		"lab.tpl": "config_opts['root'] = 'lab-12'\nconfig_opts['cache_topdir'] = '" + f.dir + "/mock-cache'\n",
		"lab-12-x86_64-extras.cfg": fmt.Sprintf("include('lab.tpl')\nconfig_opts['dnf.conf'] = '''[main]\n%s'''\nconfig_opts['a_backslash'] = '\\n'\nconfig_opts['misbehave'] = '%s'",
			repos.String(), f.mocking),
	} {
		if err := os.WriteFile(filepath.Join(f.mock.ConfigDir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// running lists processes whose command line or root folder names a folder.
func running(t *testing.T, dir string) (all []string) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		line, _ := os.ReadFile(filepath.Join(name, "cmdline")) // it may have ended
		cwd, _ := os.Readlink(filepath.Join(name, "cwd"))
		if pid, _ := strconv.Atoi(filepath.Base(name)); pid != os.Getpid() && (bytes.Contains(line, []byte(dir)) || strings.HasPrefix(cwd, dir)) {
			all = append(all, name+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return all
}

// TestMockEnds: how mock ends, and what the packager, or the farm, is told.
func TestMockEnds(t *testing.T) {
	f := newMockFarm(t)
	for _, tt := range []struct {
		mocking string
		kind    plague.FailureKind
		phase   plague.Phase
		says    string
	}{
		{"init: exit 20 could not find useradd in chroot", plague.FailureInfrastructure, plague.PhasePrepping, "could not find useradd in chroot"},
		{"init: exit 60 Build root is locked by another process.", plague.FailureInfrastructure, plague.PhasePrepping, "in use by another mock"},
		{"init: exit 30 Command failed: dnf install", plague.FailureInfrastructure, plague.PhasePrepping, "package manager failed"},
		{"setup: exit 40 Source RPM is not installable:", plague.FailurePackage, plague.PhasePrepping, "not installable"},
		{"rpmbuild: exit 10 Command failed:", plague.FailurePackage, plague.PhaseBuilding, "rpmbuild failed with exit 10"},
		{"rpmbuild: exit 247 Command failed:", plague.FailurePackage, plague.PhaseBuilding, "signal 9"},
		{"rpmbuild: is killed", plague.FailureInfrastructure, plague.PhaseBuilding, "ended by signal 9"},
	} {
		f.mocking = tt.mocking
		r := f.build(t.Context(), t, f.spec(t, "tree"))
		if r.err != nil || r.Failure == nil || r.Failure.Kind != tt.kind || r.Failure.Phase != tt.phase || !strings.Contains(r.Failure.Message, tt.says) {
			t.Errorf("%s: %v, %+v; want %s in %s, %q", tt.mocking, r.err, r.Failure, tt.kind, tt.phase, tt.says)
		}
		if !strings.Contains(r.job.String(), "mock.py version stand-in starting") {
			t.Errorf("%s: what mock said is not kept:\n%s", tt.mocking, r.job.String())
		}
		for _, log := range []string{"state.log", "hw_info.log"} {
			if _, err := os.Stat(filepath.Join(r.out, log)); err != nil {
				t.Errorf("%s: %v", tt.mocking, err)
			}
		}
	}
}

// TestMockConfigurations: orders without one, and a broken one, are the farm's trouble.
func TestMockConfigurations(t *testing.T) {
	f := newMockFarm(t)
	s := f.spec(t, "tree")
	s.Root = "i386"
	if r := f.build(t.Context(), t, s); r.Failure == nil || r.Failure.Kind != plague.FailureInfrastructure ||
		!strings.Contains(r.Failure.Message, "no configuration for lab-12-extras on i386") || !strings.Contains(r.Failure.Message, "lab-12-i386-extras.cfg") {
		t.Errorf("without a configuration: %v, %+v", r.err, r.Failure)
	}
	f.mocking = "'\nimport nothing_that_is_there #"
	if r := f.build(t.Context(), t, f.spec(t, "tree")); r.Failure == nil || r.Failure.Kind != plague.FailureInfrastructure || !strings.Contains(r.Failure.Message, "nothing_that_is_there") {
		t.Errorf("with a broken one: %v, %+v", r.err, r.Failure)
	}
	f.mock.Command = []string{filepath.Join(f.dir, "no-mock")}
	if r := f.build(t.Context(), t, f.spec(t, "tree")); r.Failure == nil || r.Failure.Kind != plague.FailureInfrastructure || !strings.Contains(r.Failure.Message, "no-mock") {
		t.Errorf("without mock: %v, %+v", r.err, r.Failure)
	}
}

// TestOlderMocks: phases come of what mock said of its states in each of its times.
func TestOlderMocks(t *testing.T) {
	f := newMockFarm(t)
	for _, form := range []string{"0.8", "0.4"} {
		f.mocking = "says its states as " + form
		if r := f.good(t, f.spec(t, "lua")); strings.Join(r.phases, " ") != "prepping building cleanup" {
			t.Errorf("phases of mock %s are %q", form, r.phases)
		}
	}
}

// TestMockLimits: one that hangs, or does not stop to talk, is stopped.
func TestMockLimits(t *testing.T) {
	f := newMockFarm(t)
	for _, tt := range []struct {
		mocking string
		limits  func(s *buildroot.Spec)
		kind    plague.FailureKind
		says    string
	}{
		{"init: hangs", func(s *buildroot.Spec) { s.Limits.Idle = time.Second }, plague.FailureInfrastructure, "idle"},
		{"rpmbuild: hangs", func(s *buildroot.Spec) { s.Limits.Idle = 3 * time.Second }, plague.FailurePackage, "idle"},
		{"rpmbuild: floods its output", func(s *buildroot.Spec) { s.Limits.Output = 10 << 20 }, plague.FailurePackage, "too long"},
		{"rpmbuild: floods its log", func(s *buildroot.Spec) { s.Limits.Output = 10 << 20 }, plague.FailurePackage, "too long"},
		{"init: floods its output", func(s *buildroot.Spec) { s.Limits.Output = 10 << 20 }, plague.FailureInfrastructure, "too long"},
	} {
		f.mocking = tt.mocking
		s := f.spec(t, "tree")
		tt.limits(&s)
		r := f.build(t.Context(), t, s)
		if r.Failure == nil || r.Failure.Kind != tt.kind || !strings.Contains(r.Failure.Message, tt.says) {
			t.Errorf("%s: %v, %+v", tt.mocking, r.err, r.Failure)
		}
		if left := running(t, f.mock.Work); len(left) > 0 {
			t.Errorf("%s: still there: %q", tt.mocking, left)
		}
		if n := len(r.job.String()) + len(r.build.String()); n > 64<<20 {
			t.Errorf("%s: %d bytes of logs", tt.mocking, n)
		}
	}
}

// TestDeafMock: it does not hear SIGTERM, nor does what it has started in a session of
// its own and lost.
func TestDeafMock(t *testing.T) {
	f := newMockFarm(t)
	f.mocking = "rpmbuild: is deaf"
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("a person said so")
	s := f.spec(t, "tree")
	b, work := f.backend(t, s)
	began := make(chan time.Time, 1)
	_, err := b.Build(ctx, s, buildroot.Log{Root: writer(func([]byte) {}), Job: writer(func([]byte) {}), Build: writer(func([]byte) {})}, t.TempDir(), func(p string) {
		if p == string(plague.PhaseBuilding) {
			began <- time.Now()
			cancel(why)
		}
	})
	if took := time.Since(<-began); !errors.Is(err, why) || took > 20*time.Second {
		t.Errorf("%v after %s", err, took)
	}
	if left := running(t, work); len(left) > 0 {
		t.Errorf("still there: %q", left)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("the work folder still holds %v, %v", left, err)
	}
}

// TestMockSweep: a mock whose supervisor was killed is killed, with what has its root
// in the buildroot, and what it made is removed; a live one stays.
func TestMockSweep(t *testing.T) {
	f := newMockFarm(t)
	f.mocking = "init: hangs"
	f.configureMock(t, f.spec(t, "tree"))
	config, err := os.ReadFile(filepath.Join(f.mock.ConfigDir, "lab-12-x86_64-extras.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	work, err := filepath.EvalSymlinks(f.mock.Work)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1-1", "2-1"} {
		dir := filepath.Join(work, id)
		for _, sub := range []string{"result", "roots"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(dir, "lab-12-x86_64-extras.cfg")
		if err := os.WriteFile(file, append(config, fmt.Sprintf("\nconfig_opts['basedir'] = '%s/roots'\n", dir)...), 0o644); err != nil {
			t.Fatal(err)
		}
		// what a supervisor starts, as an orphan
		cmd := exec.Command("setsid", "-f", f.mock.Command[0], "--configdir="+f.mock.ConfigDir, "-r", file, "--uniqueext=plague-"+id, "--resultdir="+filepath.Join(dir, "result"), "--rebuild", "/none")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(dir, "roots", "lab-12-plague-"+id, "root")); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("mock does not begin")
			}
		}
	}
	t.Cleanup(func() {
		if err := f.mock.Sweep(nil, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})
	var log bytes.Buffer
	if err := f.mock.Sweep([]string{"2-1"}, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("mock's own clean-up: %s", log.String())
	}
	if left := running(t, filepath.Join(work, "1-1")); len(left) > 0 {
		t.Errorf("still there: %q", left)
	}
	if live := running(t, filepath.Join(work, "2-1")); len(live) == 0 {
		t.Error("the live one was killed")
	}
	if left, err := os.ReadDir(work); err != nil || len(left) != 1 || left[0].Name() != "2-1" {
		t.Errorf("left are %v, %v", left, err)
	}
}
