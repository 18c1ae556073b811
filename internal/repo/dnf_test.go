package repo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dnf runs the real one with nothing of this machine's configuration.
func dnf(t *testing.T, root string, args ...string) string {
	t.Helper()
	cmd := exec.Command("dnf", append([]string{"--quiet", "--assumeyes", "--disableplugin=local", "--config", root + "/dnf.conf",
		"--installroot", root + "/root", "--releasever", "12"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dnf %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func dnfRoot(t *testing.T, dotRepo string) string {
	t.Helper()
	root := t.TempDir()
	conf := fmt.Sprintf("[main]\nreposdir=%s/repos.d\ncachedir=%s/cache\nlogdir=%s/log\npersistdir=%s/persist\n", root, root, root, root)
	for name, text := range map[string]string{"dnf.conf": conf, "repos.d/farm.repo": dotRepo} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// dnf itself reads the mirrorlist and the stable address; and what it learnt
// before some publications, it can download after them.
func TestDNF(t *testing.T) {
	if _, err := exec.LookPath("dnf"); err != nil {
		t.Skip("dnf is not installed")
	}
	tree := openTree(t, t.TempDir(), Createrepo("createrepo_c"))
	srv := web(t, tree)
	var all []Package
	for i := range 4 {
		all = append(all, realRPM(t, int64(i+1), 0, i))
	}
	publish(t, tree, of(1, 0, all[:2]...))
	stable := fmt.Sprintf("[farm]\nname=farm\nbaseurl=%s/repos/%s/%s/\ngpgcheck=0\n", srv.URL, target, arch)
	for name, text := range map[string]string{"mirrorlist": DotRepo(target, arch, srv.URL, ""), "stable": stable} {
		t.Run(name, func(t *testing.T) {
			root := dnfRoot(t, text)
			n := current(t, tree)
			before, _ := seen(t, tree, ".")
			dnf(t, root, "makecache")
			known := strings.Fields(dnf(t, root, "repoquery", "--queryformat", "%{location}"))
			_, c := seen(t, tree, fmt.Sprintf("@%d", before))
			slices.Sort(known)
			var want []string
			for href := range c {
				want = append(want, href)
			}
			slices.Sort(want)
			if !slices.Equal(known, want) {
				t.Errorf("dnf sees %q, not %q", known, want)
			}
			publish(t, tree, of(n+1, n, all[1:]...)) // without what the cache names
			publish(t, tree, of(n+2, n+1, all[:2]...))
			publish(t, tree, of(n+3, n+2, all[2:]...))
			dnf(t, root, "--setopt=metadata_expire=never", "download", "--destdir", root+"/got", "p00", "p01")
			for _, p := range all[:2] {
				if got := packageOf(t, p.Job, filepath.Join(root, "got", p.File)); got.Digest != p.Digest {
					t.Errorf("%s is %x", p.File, got.Digest)
				}
			}
			names := strings.Fields(dnf(t, root, "--refresh", "repoquery", "--queryformat", "%{name}"))
			slices.Sort(names)
			if !slices.Equal(names, []string{"p02", "p03"}) {
				t.Errorf("after three more snapshots dnf sees %q", names)
			}
			publish(t, tree, of(n+4, n+3, all[:2]...)) // for the next
		})
	}
}
