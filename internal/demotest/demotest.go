// Package demotest gives tests what the demo's scripts make: a real distribution,
// and real source packages.
package demotest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Cache is a folder that all tests of this machine share: a distribution takes half
// a minute to make.
func Cache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("PLAGUE_TEST_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "plague-test")
}

// Fill runs one of the demo's scripts, and gives the folder in the cache that it
// fills. It is for the tests of a room, which run in the room's own folder.
func Fill(t *testing.T, script, folder string, args ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("building in sandboxes needs root")
	}
	for _, tool := range []string{"dnf", "rpmbuild", "createrepo_c", "apt-get", "dpkg-deb", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: the real distribution of these tests cannot be made", tool)
		}
	}
	dir := filepath.Join(Cache(t), folder)
	line := append([]string{filepath.Join("../../demo", script), dir}, args...)
	once, _ := runs.LoadOrStore(strings.Join(line, "\x00"), sync.OnceValue(func() error {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil { // the scripts bound their own waits
			return fmt.Errorf("%q: %w\n%s", line, err, out)
		}
		return nil
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runs are the scripts that this process has run, by their command lines. Each takes more
// than a second of a core to see that there is nothing to do, and farms come by the dozen.
var runs sync.Map
