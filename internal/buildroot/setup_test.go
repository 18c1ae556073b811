package buildroot_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plague/internal/buildroot"
	"plague/internal/demotest"
	"plague/internal/sandbox"
	"plague/internal/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	if handled, code := sandbox.Main(os.Args); handled {
		syscall.Exit(code) // not os.Exit, in which the race detector waits a second for stragglers
	}
	os.Exit(m.Run())
}

// slot and fetcher are uids that nobody else uses.
const slot, fetcher = 61052, 61051

func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// farm is what a builder has: a backend with warm or cold cache, and the
// repositories of a target over HTTP.
type farm struct {
	native  *buildroot.Native
	mock    *buildroot.Mock // nil: native builds
	mocking string          // what mock's configuration has it do wrong
	distro  buildroot.Repo
	srpms   string
	dir     string
}

// backend is what all backends are to a supervisor.
type backend interface {
	Build(ctx context.Context, s buildroot.Spec, log buildroot.Log, out string, phase func(string)) (buildroot.Result, error)
}

// backend gives what builds, and its folder of running builds.
func (f *farm) backend(t *testing.T, s buildroot.Spec) (backend, string) {
	t.Helper()
	if f.mock == nil {
		return f.native, f.native.Work
	}
	f.configureMock(t, s)
	return f.mock, f.mock.Work
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	distro := demotest.Fill(t, "mkdistro", "distro")
	f := &farm{srpms: demotest.Fill(t, "mksrpms", "srpms"), dir: t.TempDir()}
	if err := os.Chmod(filepath.Dir(f.dir), 0o711); err != nil { // the user of downloads passes through
		t.Fatal(err)
	}
	f.native = &buildroot.Native{Cache: filepath.Join(f.dir, "cache"), Work: filepath.Join(f.dir, "work"), Sandbox: sandbox.Native{}}
	f.distro = serve(t, "lab", filepath.Join(distro, "x86_64"))
	shared := filepath.Join(demotest.Cache(t), "layers")
	if err := os.MkdirAll(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.native.Cache, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(shared, filepath.Join(f.native.Cache, "layers")); err != nil {
		t.Fatal(err)
	}
	return f
}

// coldCache takes away the layers that tests share to save time.
func (f *farm) coldCache(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(f.native.Cache, "layers")); err != nil {
		t.Fatal(err)
	}
}

// serve makes a pinned repository of a folder.
func serve(t *testing.T, id, dir string) buildroot.Repo {
	t.Helper()
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return buildroot.Repo{ID: id, URL: s.URL, RepomdSHA256: digest(t, filepath.Join(dir, "repodata/repomd.xml"))}
}

func digest(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (f *farm) spec(t *testing.T, name string) buildroot.Spec {
	t.Helper()
	file := name
	if !strings.HasSuffix(name, ".src.rpm") {
		found, err := filepath.Glob(filepath.Join(f.srpms, name+"-[0-9]*.src.rpm"))
		if err != nil || len(found) != 1 {
			t.Fatalf("source packages of %s: %v, %v", name, found, err)
		}
		file = found[0]
	}
	return buildroot.Spec{ID: "1-1", Target: "lab-12-extras", Arch: "x86_64", SRPM: file, Base: []string{"@buildsys-build"}, Repos: []buildroot.Repo{f.distro},
		UID: slot, GID: slot, FetchUID: fetcher, FetchGID: fetcher, Macros: map[string]string{"dist": ".lab12", "vendor": "The farm of tests"},
		BuildHost: "builder.test", Limits: sandbox.Limits{Wall: 5 * time.Minute}}
}

// run is what came of one build.
type run struct {
	buildroot.Result
	err              error
	root, build, job sandboxtest.Buffer
	phases           []string
	out              string
	toBuild, total   time.Duration // until %build began, and until the end
}

func (f *farm) build(ctx context.Context, t *testing.T, s buildroot.Spec) *run {
	t.Helper()
	r := &run{out: t.TempDir()}
	begun := time.Now()
	var mu sync.Mutex
	watch := writer(func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		if r.toBuild == 0 && strings.Contains(string(p), "Executing(%build)") {
			r.toBuild = time.Since(begun)
		}
	})
	log := buildroot.Log{Root: &r.root, Build: io.MultiWriter(&r.build, watch), Job: &r.job}
	b, work := f.backend(t, s)
	r.Result, r.err = b.Build(ctx, s, log, r.out, func(p string) { r.phases = append(r.phases, p) })
	r.total = time.Since(begun)
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("the work folder still holds %v, %v", left, err)
	}
	return r
}

// good builds what must succeed.
func (f *farm) good(t *testing.T, s buildroot.Spec) *run {
	t.Helper()
	r := f.build(t.Context(), t, s)
	if r.err != nil || r.Failure != nil {
		t.Fatalf("%v, %+v\njob.log:\n%s\nroot.log:\n%s\nbuild.log:\n%s", r.err, r.Failure, r.job.String(), end(r.root.String()), end(r.build.String()))
	}
	return r
}

func end(s string) string { return s[max(0, len(s)-3000):] }

type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// pack makes packages of spec files on this machine: source packages with "-bs",
// binary ones with "-bb". A spec's name is its key.
func pack(t *testing.T, how string, specs map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, text := range specs {
		file := filepath.Join(top, name+".spec")
		text = fmt.Sprintf("Name: %s\nVersion: 1\nRelease: 1\nSummary: A package of the tests\nLicense: MIT\n%s", name, text)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		command(t, []string{"HOME=" + top}, "rpmbuild", how, "--nodeps", "--define", "_topdir "+top, "--define", "_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm", file)
	}
	return top
}

// repository makes a pinned repository of binary packages, over https.
func repository(t *testing.T, id string, specs map[string]string) buildroot.Repo {
	t.Helper()
	dir := filepath.Join(pack(t, "-bb", specs), "RPMS")
	command(t, nil, "createrepo_c", "-q", "--no-database", dir)
	s := httptest.NewTLSServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return buildroot.Repo{ID: id, URL: s.URL, RepomdSHA256: digest(t, filepath.Join(dir, "repodata/repomd.xml")), CACert: ca}
}

func source(t *testing.T, name, text string) string {
	t.Helper()
	return filepath.Join(pack(t, "-bs", map[string]string{name: text}), "SRPMS", name+"-1-1.src.rpm")
}

var nevra = regexp.MustCompile(`^[a-z0-9-]+-[0-9a-z.]+-[0-9]+\.lab12\.(x86_64|noarch)\.rpm$`)
