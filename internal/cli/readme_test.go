package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"plague/internal/demotest"
)

// TestReadmeOf2005 walks the original's README from top to bottom.
func TestReadmeOf2005(t *testing.T) {
	distro := serveDistro(t)
	srpm := sourcePackage(t, "ethtool")
	site := newSite(t)
	testscript.Run(t, testscript.Params{
		Files: []string{"testdata/readme.txtar"},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode": scriptMode, "holder": scriptHolder, "account": scriptAccount, "eventually": scriptEventually,
		},
		Setup: func(env *testscript.Env) error {
			host, err := os.Hostname()
			if err != nil {
				return err
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			checkout, err := filepath.Abs("../..")
			if err != nil {
				return err
			}
			for name, value := range map[string]string{
				"GORACE": "atexit_sleep_ms=0", "HOME": filepath.Join(env.WorkDir, "home"), "HOSTNAME": host, "PLAGUE": binary, "CHECKOUT": checkout,
				"DISTRO": distro, "SRPM": srpm, "SRPM_FILE": filepath.Base(srpm), "NVR": strings.TrimSuffix(filepath.Base(srpm), ".src.rpm"), "ARCH": nativeArches()[0],
			} {
				env.Setenv(name, value)
			}
			for i, name := range []string{"UI", "FILES", "WEB", "B1", "B2"} {
				env.Setenv(name, fmt.Sprint(site.port()+i))
			}
			if err := os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700); err != nil {
				return err
			}
			return os.Chmod(filepath.Dir(env.WorkDir), 0o711) // the builder's account passes through
		},
	})
}

// serveDistro serves the distribution on loopback: the farm's accounts may not
// be able to enter the cache's folder.
func serveDistro(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(demotest.Fill(t, "mkdistro", "distro"), nativeArches()[0]))))
	t.Cleanup(s.Close)
	return s.URL
}

// serveDistros serves the distribution for several arches, at an address for all.
func serveDistros(t *testing.T, arches []string) string {
	t.Helper()
	var dir string
	for _, arch := range arches {
		dir = demotest.Fill(t, "mkdistro", "distro", "--arch", arch)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL + "/$arch"
}

// sourcePackage gives one of the demo's SRPMs.
func sourcePackage(t *testing.T, name string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(demotest.Fill(t, "mksrpms", "srpms"), name+"-[0-9]*.src.rpm"))
	if err != nil || len(files) != 1 {
		t.Fatalf("SRPMs of %s: %q, %v", name, files, err)
	}
	return files[0]
}

func mustRun(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// scriptAccount: account name. It makes a system account that is missing.
func scriptAccount(ts *testscript.TestScript, _ bool, args []string) {
	_, err := ensureAccount(args[0])
	ts.Check(err)
}

// eventuallyBound is generous: what waits for it goes on with the condition.
const eventuallyBound = 5 * time.Minute

// scriptEventually: eventually regexp command argument... It repeats a command
// until it ends with 0 and the expression matches what it says.
func scriptEventually(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	var said bytes.Buffer
	for end := time.Now().Add(eventuallyBound); time.Now().Before(end); {
		said.Reset()
		cmd := exec.Command(args[1], args[2:]...)
		if path := lookPath(ts.Getenv("PATH"), args[1]); path != "" {
			cmd.Path, cmd.Err = path, nil
		}
		cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &said, &said
		cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "GORACE="+ts.Getenv("GORACE"))
		if err := cmd.Run(); err == nil && want.MatchString(said.String()) {
			ts.Logf("%s", said.String())
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	ts.Fatalf("%q has not come within %s; the last answer:\n%s", args[0], eventuallyBound, said.String())
}

// lookPath finds a program on a script's own PATH.
func lookPath(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); exists(file) {
			return file
		}
	}
	return ""
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
