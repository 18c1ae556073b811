package source

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plague"
	"plague/internal/sandbox"
)

func TestMain(m *testing.M) {
	if handled, code := sandbox.Main(os.Args); handled {
		syscall.Exit(code) // not os.Exit, in which the race detector waits a second for stragglers
	}
	if handled, code := Main(os.Args); handled {
		syscall.Exit(code)
	}
	os.Exit(m.Run())
}

// slot and fetcher are uids that nobody else uses.
const slot, fetcher = 61072, 61071

// need skips a test whose real tools are not here: demo/install-tools --test.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
}

// open is a new folder that the user who fetches can pass through and read.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// command runs one of the tools that make repositories, as it is used by people.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// write makes files; a content that begins with "->" is a symbolic link's target,
// one that begins with "#!" is executable.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "->"); link {
			err = os.Symlink(target, file)
		} else if strings.HasPrefix(content, "#!") {
			err = os.WriteFile(file, []byte(content), 0o755)
		} else {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fetchResult is what came of one fetch.
type fetchResult struct {
	pinned plague.Pinned
	files  map[string]string // as for write
	log    string
	dir    string
	err    error
}

// get plans and fetches.
func get(t *testing.T, c Config, pkg, tag string) fetchResult {
	t.Helper()
	p, err := c.Plan(Request{pkg, tag})
	if err != nil {
		t.Fatal(err)
	}
	return fetchPlan(t, p)
}

func fetchPlan(t *testing.T, p Plan) fetchResult {
	t.Helper()
	work := open(t)
	var log bytes.Buffer
	f := Fetcher{Work: filepath.Join(work, "fetch"), Log: &log}
	if os.Getuid() == 0 {
		f.UID, f.GID = fetcher, fetcher
	}
	r := fetchResult{dir: filepath.Join(work, "tree")}
	r.pinned, r.err = f.Fetch(t.Context(), p, r.dir)
	r.log = log.String()
	if left, err := os.ReadDir(work); err != nil || len(left) > 1 || r.err != nil && len(left) > 0 {
		t.Errorf("%v, %v are left behind", left, err)
	}
	if r.err == nil {
		r.files = read(t, r.dir)
	}
	return r
}

// good gives what must come.
func good(t *testing.T, c Config, pkg, tag string) fetchResult {
	t.Helper()
	r := get(t, c, pkg, tag)
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.log)
	}
	return r
}

// refused checks that a fetch ended for a reason that the packager can mend, and
// that says so.
func refused(t *testing.T, r fetchResult, kind error, want string) {
	t.Helper()
	var refusal *plague.Refusal
	if !errors.As(r.err, &refusal) || refusal.Hint == "" || !errors.Is(r.err, kind) || !strings.Contains(r.err.Error(), want) {
		t.Fatalf("got %v, want a %v with %q\n%s", r.err, kind, want, r.log)
	}
	if got := Failure(r.err, plague.PhaseDownloading).Kind; kind != plague.ErrUnavailable && got != plague.FailurePackage {
		t.Errorf("%v is a failure of %s", r.err, got)
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			files[rel] = "->" + target
			return err
		}
		data, err := os.ReadFile(name)
		files[rel] = string(data)
		if x := info.Mode()&0o111 != 0; x != strings.HasPrefix(files[rel], "#!") {
			t.Errorf("%s has the mode %v", rel, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
