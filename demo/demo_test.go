package demo_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plague/internal/demotest"
)

// command runs a program with a time-out; it gives both outputs together and
// the exit code.
func command(t *testing.T, env []string, name string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs a program that has to succeed.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := command(t, nil, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

func debian(t *testing.T) {
	t.Helper()
	if release, _ := os.ReadFile("/etc/os-release"); !strings.Contains(string(release), "\nID=debian\n") {
		t.Skip("the distribution is made of Debian's packages")
	}
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestInstallToolsNamesWhatIsMissing(t *testing.T) {
	// A machine on which dpkg knows of createrepo-c alone.
	dir := t.TempDir()
	write(t, filepath.Join(dir, "dpkg-query"), "#!/bin/sh\necho 'ii  createrepo-c'\necho 'rc  dnf'\n", 0o755)
	write(t, filepath.Join(dir, "os-release"), "ID=debian\nVERSION_ID=\"12\"\n", 0o644)
	env := []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "OS_RELEASE=" + filepath.Join(dir, "os-release")}

	out, code := command(t, env, "./install-tools", "--dry-run")
	missing := " " + strings.TrimSpace(out) + " "
	if code != 0 || !strings.Contains(missing, " dnf ") || !strings.Contains(missing, " rpm ") {
		t.Errorf("exit %d, missing:%s; want rpm and the removed dnf among them", code, missing)
	}
	if strings.Contains(missing, "createrepo") || strings.Contains(missing, "postgresql") {
		t.Errorf("missing:%s; createrepo-c is there, and only the tests need PostgreSQL", missing)
	}
	if out, _ = command(t, env, "./install-tools", "--test", "--dry-run"); !strings.Contains(out, "postgresql") || !strings.Contains(out, "systemd") {
		t.Errorf("with --test: %s; want PostgreSQL and systemd-analyze too", out)
	}
}

func TestInstallToolsRefuses(t *testing.T) {
	release := filepath.Join(t.TempDir(), "os-release")
	for text, want := range map[string]string{
		"ID=arch\n":                         "the demo runs on Debian 12 and Fedora",
		"ID=debian\nVERSION_ID=\"11\"\n":    "'debian 11'",
		"ID=ubuntu\nVERSION_ID=\"24.04\"\n": "'ubuntu 24.04'",
	} {
		write(t, release, text, 0o644)
		if out, code := command(t, []string{"OS_RELEASE=" + release}, "./install-tools"); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: exit %d, %s; want %q", text, code, out, want)
		}
	}
	if out, code := command(t, nil, "./install-tools", "--tests"); code != 2 || !strings.Contains(out, "usage:") {
		t.Errorf("--tests: exit %d, %s", code, out)
	}
}

func TestDistributionIsWholeForDNF(t *testing.T) {
	debian(t)
	out := filepath.Join(demotest.Cache(t), "distro")
	must(t, "./mkdistro", out)
	home := t.TempDir()
	dnf := func(args ...string) string {
		args = append([]string{"-q", "--disablerepo=*", "--repofrompath", "lab,file://" + out + "/x86_64", "--enablerepo", "lab", "--forcearch", "x86_64", "--releasever", "12",
			"--setopt", "cachedir=" + home, "--setopt", "reposdir=/dev/null"}, args...)
		return must(t, "dnf", args...)
	}
	if unresolved := dnf("repoclosure"); strings.TrimSpace(unresolved) != "" {
		t.Errorf("dnf repoclosure: %s", unresolved)
	}
	group := dnf("group", "info", "buildsys-build")
	for _, name := range []string{"filesystem", "lab-release", "gcc", "make", "rpm"} {
		if !strings.Contains(group, name) {
			t.Errorf("%s is not in @buildsys-build:\n%s", name, group)
		}
	}
	if got := dnf("repoquery", "--whatprovides", "pkgconfig(zlib)", "--qf", "%{name}"); strings.TrimSpace(got) != "zlib1g-dev" {
		t.Errorf("pkgconfig(zlib) comes from %q, want zlib1g-dev", got)
	}
}

func TestDistributionIsMadeOnce(t *testing.T) {
	debian(t)
	out := filepath.Join(demotest.Cache(t), "distro")
	must(t, "./mkdistro", out)
	repomd := filepath.Join(out, "x86_64/repodata/repomd.xml")
	before, err := os.Stat(repomd)
	if err != nil {
		t.Fatal(err)
	}
	var runs sync.WaitGroup
	for range 3 {
		runs.Go(func() {
			if said, code := command(t, nil, "./mkdistro", out); code != 0 || !strings.Contains(said, "made 0;") {
				t.Errorf("exit %d: %s; want nothing made", code, said)
			}
		})
	}
	runs.Wait()
	if after, err := os.Stat(repomd); err != nil || !os.SameFile(before, after) {
		t.Errorf("the repodata was made anew although nothing changed (%v)", err)
	}
}

func TestSourcePackages(t *testing.T) {
	debian(t)
	// a folder of its own: another release replaces the one that was there
	out := filepath.Join(demotest.Cache(t), "srpms-release")
	for _, release := range []string{"1", "7"} {
		must(t, "./mksrpms", "--release", release, out, "ethtool", "jq")
		files, err := filepath.Glob(filepath.Join(out, "*.src.rpm"))
		if err != nil || len(files) != 2 {
			t.Fatalf("source packages: %v (%v), want two", files, err)
		}
		got := must(t, "rpm", append([]string{"-qp", "--qf", `%{NAME} %{RELEASE} %|SOURCEPACKAGE?{source}:{binary}| [%{EXCLUSIVEARCH} ]\n`}, files...)...)
		want := "ethtool " + release + " source x86_64 aarch64 \njq " + release + " source \n"
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if said := must(t, "./mksrpms", "--release", "7", out, "ethtool", "jq"); !strings.Contains(said, "made 0;") {
		t.Errorf("the second time: %s; want nothing made", said)
	}
}

func TestFailedPhaseSaysWhich(t *testing.T) {
	debian(t)
	if os.Geteuid() != 0 {
		t.Skip("the demo runs as root")
	}
	dir := t.TempDir()
	must(t, "cp", "run", "install-tools", dir) // beside them there is no ../bin/plague
	out, code := command(t, []string{"PLAGUE_DEMO=" + filepath.Join(dir, "work")}, filepath.Join(dir, "run"))
	log := filepath.Join(dir, "work", "demo.log")
	for _, want := range []string{"tools ", "binary        failed after", log, "| there is no bin/plague: make build"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output has no %q:\n%s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, "distribution") {
		t.Errorf("exit %d, want 1 and nothing after the failed phase:\n%s", code, out)
	}
}

func TestEmulatorRefuses(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "usage:"},
		{"aarch64", 2, "usage:"},
		{"vax true", 1, "there is no emulator for vax: apt-get install qemu-user-static"},
	} {
		if os.Getuid() != 0 && tt.code == 1 {
			tt.want = "needs root"
		}
		if out, code := command(t, nil, "./with-emulator", strings.Fields(tt.args)...); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("with-emulator %s: exit %d, %s; want %q", tt.args, code, out, tt.want)
		}
	}
}
