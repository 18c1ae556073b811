// Package demotest gives tests what the demo's scripts make: a real distribution,
// and real source packages.
package demotest

import (
	"os"
	"os/exec"
	"path/filepath"
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
	name := filepath.Join("../../demo", script)
	if out, err := exec.CommandContext(t.Context(), name, append([]string{dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, dir, err, out)
	}
	return dir
}
