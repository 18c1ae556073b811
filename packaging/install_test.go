package packaging_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command runs a program in the project's folder, with a time-out.
func command(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a program that has to succeed.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// build makes the binary as `make build` does, but for the version.
func build(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plague")
	must(t, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags=-s -w", "-buildvcs=false", "-o", file, "./cmd/plague")
	return file
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func install(t *testing.T, binary, dest string, args ...string) string {
	t.Helper()
	return must(t, "make", append([]string{"-s", "install", "PLAGUE=" + binary, "DESTDIR=" + dest}, args...)...)
}

func TestInstall(t *testing.T) {
	binary, dest := build(t), t.TempDir()
	if said := install(t, binary, dest+"/"); said != "" {
		t.Errorf("the first installation said %q, want nothing", said)
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{
		"usr/bin/plague":            0o755,
		"etc/plague/server/certs":   fs.ModeDir | 0o700,
		"etc/plague/builder/certs":  fs.ModeDir | 0o700,
		"etc/plague/server/targets": fs.ModeDir | 0o755,
		"etc/plague/server/targets/fedora-development-extras.cfg.example": 0o644,
		"etc/plague/server/server.cfg":                                    0o640,
		"etc/plague/builder/builder.cfg":                                  0o640,
		"usr/lib/systemd/system/plague-server.service":                    0o644,
		"usr/lib/systemd/system/plague-builder.service":                   0o644,
		"usr/lib/systemd/system/plague-signer.service":                    0o644,
		"usr/lib/sysusers.d/plague.conf":                                  0o644,
		"usr/lib/tmpfiles.d/plague.conf":                                  0o644,
		"usr/share/bash-completion/completions/plague-client":             0o644,
		"usr/share/zsh/site-functions/_plague":                            0o644,
		"usr/share/fish/vendor_completions.d/plague.fish":                 0o644,
		"usr/share/man/man1/plague.1":                                     0o644,
	} {
		info, err := root.Lstat(name)
		if err != nil {
			t.Error(err)
		} else if info.Mode() != mode || !info.IsDir() && info.Size() == 0 {
			t.Errorf("%s: mode %v and %d bytes, want %v and some", name, info.Mode(), info.Size(), mode)
		}
	}
	for _, name := range []string{"plague-server", "plague-builder", "plague-client", "plague-user-manager", "plague-user-manager.py", "plague-certhelper", "certhelper.py"} {
		if to, err := root.Readlink("usr/bin/" + name); err != nil || to != "plague" {
			t.Errorf("%s leads to %q (%v), want plague", name, to, err)
		}
	}
}

func TestInstallKeepsConfiguration(t *testing.T) {
	binary, dest := build(t), t.TempDir()
	install(t, binary, dest)
	file, certs := filepath.Join(dest, "etc/plague/server/server.cfg"), filepath.Join(dest, "etc/plague/server/certs")
	if said := install(t, binary, dest); said != "" {
		t.Errorf("an unchanged installation again: %q, want nothing said", said)
	}
	if err := os.WriteFile(file, []byte("[Server]\n# mine\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(certs, 0o710); err != nil {
		t.Fatal(err)
	}
	if said := install(t, binary, dest); !strings.Contains(said, "kept "+file) || !strings.Contains(said, "server.cfg.new") {
		t.Errorf("the installation said %q; want what was kept and where the example is", said)
	}
	example, err := os.ReadFile("server.cfg")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{file: "[Server]\n# mine\n", file + ".new": string(example)} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
	if info, err := os.Stat(certs); err != nil || info.Mode().Perm() != 0o710 {
		t.Errorf("the certs folder has mode %v (%v); it was there and keeps what it had", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dest, "etc/plague/builder/builder.cfg.new")); err == nil {
		t.Error("builder.cfg was not changed and got a .new all the same")
	}
}

func TestInstallRefusesOddPlaces(t *testing.T) {
	dest := t.TempDir()
	if out, err := command(t, "make", "-s", "install", "PLAGUE=/bin/true", "DESTDIR="+dest, "prefix=/usr|e id"); err == nil || !strings.Contains(out, "plain paths") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := command(t, "make", "-s", "install", "PLAGUE=/nonexistent/plague", "DESTDIR="+dest); err == nil || !strings.Contains(out, "make build") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOldGoIsRefused(t *testing.T) {
	for version, ok := range map[string]bool{"go1.19.8": false, "go1.21.0": true, "go1.26.1-X:some": true, "devel": false} {
		dir := t.TempDir()
		old := filepath.Join(dir, "go")
		write(t, old, "#!/bin/sh\necho go version "+version+" linux/amd64\n")
		if err := os.Chmod(old, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := command(t, "env", "PATH="+dir+":"+os.Getenv("PATH"), "make", "-s", "tools-go")
		if (err == nil) != ok || !ok && !strings.Contains(out, "go.dev/dl") {
			t.Errorf("%s: %v, %q; want it taken: %v, else the remedy", version, err, out, ok)
		}
	}
}

// systemd itself reads what was installed below a prefix of its own.
func TestUnits(t *testing.T) {
	tool(t, "systemd-analyze")
	dest := t.TempDir()
	install(t, build(t), "", "prefix="+dest+"/usr", "sysconfdir="+dest+"/etc")
	units, err := filepath.Glob(dest + "/usr/lib/systemd/system/*.service")
	if err != nil || len(units) != 3 {
		t.Fatalf("units: %v (%v)", units, err)
	}
	out, _ := command(t, "systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	for line := range strings.Lines(out) {
		if strings.Contains(line, "plague-") {
			t.Error(line)
		}
	}
}

// No unit gets looser unnoticed: systemd's own figure, of 10 for no confinement at all, ten times,
// as docs/guide/builder.md has it. Each unit says why it stops where it does.
func TestUnitsAreConfined(t *testing.T) {
	tool(t, "systemd-analyze")
	slack := 5 // other versions weigh in another way
	if strings.HasPrefix(must(t, "systemd-analyze", "--version"), "systemd 252 ") {
		slack = 0
	}
	for unit, most := range map[string]int{"plague-server": 14, "plague-signer": 7, "plague-builder": 75} {
		out, err := command(t, "systemd-analyze", "security", "--offline=true", "--no-pager", fmt.Sprintf("--threshold=%d", most+slack), "packaging/"+unit+".service")
		if err != nil {
			t.Errorf("%s is looser than %d: %v\n%s", unit, most, err, out)
		}
	}
}

// The accounts and folders come from systemd's own tools, in a root of its own.
func TestAccounts(t *testing.T) {
	tool(t, "systemd-sysusers")
	tool(t, "systemd-tmpfiles")
	if os.Geteuid() != 0 {
		t.Skip("only root makes accounts")
	}
	dest := t.TempDir()
	install(t, build(t), dest)
	for name, text := range map[string]string{
		"etc/passwd":                                   "root:x:0:0:root:/root:/bin/sh\n",
		"etc/group":                                    "root:x:0:\n",
		"etc/plague/server/certs/server.pem":           "a key that root has copied here",
		"etc/plague/server/userdb":                     "",
		"etc/plague/builder/certs/builder.example.pem": "a key",
	} {
		write(t, filepath.Join(dest, name), text)
	}
	must(t, "systemd-sysusers", "--root="+dest)
	for range 2 { // the second time over what belongs to the server by now
		must(t, "systemd-tmpfiles", "--root="+dest, "--create", "plague.conf")
	}
	passwd, err := os.ReadFile(filepath.Join(dest, "etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"plague-server", "plague-builder"} {
		if !strings.Contains(string(passwd), "\n"+account+":") {
			t.Errorf("there is no account %s:\n%s", account, passwd)
		}
	}
	for name, want := range map[string]struct {
		server bool
		mode   fs.FileMode
	}{
		"etc/plague/server/certs/server.pem":           {true, 0o600},
		"etc/plague/server/userdb":                     {true, 0o600},
		"etc/plague/server/server.cfg":                 {false, 0o640},
		"etc/plague/builder/certs/builder.example.pem": {false, 0o600},
		"var/lib/plague/server":                        {true, 0o700},
		"srv/plague":                                   {true, 0o755},
	} {
		info, err := os.Stat(filepath.Join(dest, name))
		if err != nil {
			t.Error(err)
			continue
		}
		owner := info.Sys().(*syscall.Stat_t).Uid
		if info.Mode().Perm() != want.mode || (owner != 0) != want.server {
			t.Errorf("%s: owner %d and mode %v, want mode %v and the server's: %v", name, owner, info.Mode().Perm(), want.mode, want.server)
		}
	}
}

// Every option of the examples, also those behind a #, is one that the program
// knows: it complains about nothing but the keys, which are none.
func TestExamplesAreRead(t *testing.T) {
	binary, dir := build(t), t.TempDir()
	place := regexp.MustCompile(`(/etc|/srv|/var/lib)/plague`)
	option := regexp.MustCompile(`(?m)^#(\w+ =|\[[\w ]+\])`)
	for name, to := range map[string]string{"server.cfg": "server/server.cfg", "builder.cfg": "builder/builder.cfg", "fedora-development-extras.cfg": "server/targets/t.cfg"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = option.ReplaceAll(text, []byte("$1"))
		write(t, filepath.Join(dir, to), place.ReplaceAllString(string(text), dir+"$1"))
	}
	for _, name := range []string{"server/certs/server_key_and_cert", "server/certs/buildsystem_ca_cert", "server/certs/users_ca_cert",
		"builder/certs/builder1_key_and_cert", "builder/certs/buildsystem_ca_cert", "builder/certs/server_cert"} {
		write(t, filepath.Join(dir, name+".pem"), "no key\n")
	}
	write(t, filepath.Join(dir, "builder/targets/t.cfg"), "[General]\ndistro = fedora\nmock_config = fedora-rawhide-x86_64\n")
	if err := os.WriteFile(filepath.Join(dir, "server/releng.secret"), []byte("a word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"server", "builder"} {
		out, err := command(t, binary, who, "-c", filepath.Join(dir, who, who+".cfg"))
		if err == nil || !strings.Contains(out, "_key_and_cert.pem") || strings.Contains(out, "unknown") {
			t.Errorf("plague %s with the example: %v, %s; want no complaint but about %s_key_and_cert", who, err, out, who)
		}
	}
}

// The spec file builds, without a network, out of what `make dist` makes.
func TestSpec(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles everything once more")
	}
	tool(t, "rpmbuild")
	if _, err := command(t, "git", "rev-parse", "--verify", "HEAD"); err != nil {
		t.Skip("a source tree without its history")
	}
	top := t.TempDir()
	sources, err := filepath.Abs(filepath.Join("..", filepath.Dir(strings.TrimSpace(must(t, "make", "-s", "dist")))))
	if err != nil {
		t.Fatal(err)
	}
	// Debian's rpm knows nothing of the Go that built this test
	must(t, "rpmbuild", "-bb", "--nodeps", "--define", "_topdir "+top, "--define", "_dbpath "+top+"/db", "--define", "_sourcedir "+sources,
		"packaging/plague.spec")
	rpms, err := filepath.Glob(top + "/RPMS/*/*.rpm")
	if err != nil || len(rpms) != 3 {
		t.Fatalf("packages: %v (%v), want plague, plague-server and plague-builder", rpms, err)
	}
	files := must(t, "rpm", append([]string{"-qlp"}, rpms...)...)
	for _, want := range []string{"/usr/bin/plague\n", "/etc/plague/server/certs\n", "plague-builder.service\n", "/plague.1"} {
		if !strings.Contains(files, want) {
			t.Errorf("no package has %s:\n%s", want, files)
		}
	}
}

// tool skips a test on machines without a program that does not come with the
// tools that `make test` installs on every system.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(err)
	}
}
