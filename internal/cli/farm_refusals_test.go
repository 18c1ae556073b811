package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plague"
	"plague/internal/pki"
	"plague/internal/wire"
)

// TestFarmRefuses: what is wrong is refused with what to do next, and the farm
// is as before; invariant 8.
func TestFarmRefuses(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	srpm := tinySRPM(t, "fine", ":")
	whole, err := os.ReadFile(srpm)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	noUser, powerless := f.newUser("stranger@example.com", ""), f.newUser("powerless@example.com", "kill_any_job")
	config := string(mustRead(t, f.Client))
	for _, tt := range []struct {
		name   string
		config string
		args   []string
		code   int
		says   string
	}{
		{"not an SRPM", f.Client, []string{"build", "fine", put("fine-1-1.src.rpm", "# a text"), "devel"}, 2, "is not an SRPM"},
		{"truncated in its header", f.Client, []string{"build", "fine", put("fine-1-1.src.rpm", string(whole[:200])), "devel"}, 2, "is not an SRPM"},
		{"truncated in its payload", f.Client, []string{"build", "fine", put("fine-1-1.src.rpm", string(whole[:len(whole)-100])), "devel"}, 2, "truncated: the file ends after"},
		{"wrong package name", f.Client, []string{"build", "other", srpm, "devel"}, 2, "holds the package fine, not other"},
		{"unknown target", f.Client, []string{"build", "fine", srpm, "lab-12-extra"}, 2, "did you mean lab-12-extras?"},
		{"unknown alias", f.Client, []string{"build", "fine", srpm, "deve"}, 2, "did you mean devel?"},
		{"not a user", noUser, []string{"build", "fine", srpm, "devel"}, 3, "stranger@example.com is not a user of this build system"},
		{"no capability", powerless, []string{"build", "fine", srpm, "devel"}, 3, "own_jobs"},
		{"no capability to pause", powerless, []string{"pause"}, 3, "server_admin"},
		{"another e-mail", put("c.cfg", strings.Replace(config, f.User, "else@example.com", 1)), []string{"list"}, 3, "else@example.com"},
		{"server down", put("c.cfg", strings.Replace(config, f.Users, "https://127.0.0.1:1", 1)), []string{"list"}, 6, "Error connecting to build server"},
		{"no such job", f.Client, []string{"detail", "99"}, 4, "99"},
		{"kill of no job", f.Client, []string{"kill", "99"}, 4, "99"},
	} {
		out, errs, code := f.runAs(tt.config, tt.args...)
		if code != tt.code || !strings.Contains(errs, tt.says) || out != "" {
			t.Errorf("%s: exit %d, %q, %q; want %d and %q on standard error", tt.name, code, out, errs, tt.code, tt.says)
		}
	}
	f.refusesOversized()
	if jobs, err := f.client.Jobs(t.Context(), wire.ListFilter{}); err != nil || len(jobs) != 0 {
		t.Errorf("after the refusals the farm has %+v, %v; want no job", jobs, err)
	}

	f.until(f.submit(srpm), plague.JobNeedSign) // the farm is well
}

// refusesOversized asks for what no SRPM may be, past the client's own checks:
// by its size alone it is refused, before anything of it travels.
func (f *processFarm) refusesOversized() {
	f.t.Helper()
	const size, limit = 5 << 30, "4294967296"
	digest := strings.Repeat("0", 64)
	_, err := f.client.Submit(f.t.Context(), wire.Submission{Package: "huge", Source: "huge-1-1.src.rpm", SRPM: digest, Size: size, Target: "devel"})
	if !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), limit) {
		f.t.Errorf("submission of %d bytes: %v; want it refused with the limit", size, err)
	}
	file, err := os.Create(filepath.Join(f.t.TempDir(), "huge-1-1.src.rpm"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		f.t.Fatal(err)
	}
	sent := &progress{screen: newScreen(io.Discard)}
	err = f.client.put(f.t.Context(), &srpm{file: file, digest: digest, size: size}, 0, sent)
	sent.mu.Lock() // the transport may not have heard yet
	defer sent.mu.Unlock()
	if !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), limit) || sent.sent > 64<<20 {
		f.t.Errorf("upload of %d bytes: %v after %d bytes; want it refused with the limit at once", size, err, sent.sent)
	}
	if found := mustRun(f.t, "find", f.Dir, "-name", "*"+digest+"*"); found != "" {
		f.t.Errorf("of what was refused is left: %s", found)
	}
}

// newUser makes a certificate for a user and a client's configuration with it;
// without capabilities the farm does not know him.
func (f *processFarm) newUser(email, capabilities string) string {
	f.t.Helper()
	ca, err := pki.LoadCA(f.file("user_ca"), "users")
	if err != nil {
		f.t.Fatal(err)
	}
	cert, key, err := ca.Issue(pki.Request{Role: pki.RoleUser, Name: email, Email: email})
	if err != nil {
		f.t.Fatal(err)
	}
	pem, config := f.file("client", email+".pem"), f.file("client", email+".cfg")
	if err := os.WriteFile(pem, append(key, cert...), 0o600); err != nil {
		f.t.Fatal(err)
	}
	text := strings.NewReplacer(f.file("client", "user_key_and_cert.pem"), pem, f.User, email).Replace(string(mustRead(f.t, f.Client)))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if capabilities != "" {
		mustRun(f.t, "plague-user-manager", append([]string{f.file("server", "userdb"), "add", email}, strings.Fields(capabilities)...)...)
	}
	return config
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDaemonsRefuseToStart: without keys, with keys that others can read, or
// with a configuration that is not understood there is no daemon, and the
// reason names option, file and line.
func TestDaemonsRefuseToStart(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	for _, tt := range []struct{ daemon, old, text, says string }{
		{"server", "certs/server_key_and_cert.pem", "certs/none.pem", "server_key_and_cert"},
		{"server", "certs/buildsystem_ca_cert.pem", "certs/none.pem", "ca_cert"},
		{"server", "certs/users_ca_cert.pem", "certs/none.pem", "ui_ca_cert"},
		{"server", "certs/users_ca_cert.pem", "server.cfg", "ui_ca_cert"},
		{"server", "certs/server_key_and_cert.pem", "certs/users_ca_cert.pem", "no private key"},
		{"server", "builders = https://", "builders = http://", "https:// only"},
		{"server", "ui_port =", "ui_prot =", "did you mean ui_port?"},
		{"server", "address = 127.0.0.1", "use_srpm_not_cvs = no", "no target has a section [SCM]"},
		{"server", "address = 127.0.0.1", "use_srpm_not_cvs = yes\nuse_cvs = yes", "says the contrary"},
		{"server", "address = 127.0.0.1", "targets = lab-12-extra", "did you mean lab-12-extras?"},
		{"builder1", "private/builder1_key_and_cert.pem", "private/none.pem", "builder_key_and_cert"},
		{"builder1", "certs/buildsystem_ca_cert.pem", "certs/none.pem", "ca_cert"},
		{"builder1", "server = https://", "server = http://", "is not https://host:port"},
		{"builder1", "builder_user = plague-builder", "builder_user = nobody-here", "useradd --system"},
		{"builder1", "builder_user = plague-builder", "builder_usr = plague-builder", "did you mean builder_user?"},
		{"builder1", "slots = 1", "slots = none", "slots"},
	} {
		kind := strings.TrimRight(tt.daemon, "1")
		file := f.file(kind, tt.daemon+".cfg")
		before := string(mustRead(t, file))
		if !strings.Contains(before, tt.old) {
			t.Fatalf("%s has no %q", file, tt.old)
		}
		wrong := f.file(kind, "wrong.cfg")
		if err := os.WriteFile(wrong, []byte(strings.Replace(before, tt.old, tt.text, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), waitBound)
		out, err := exec.CommandContext(ctx, "plague-"+kind, "-c", wrong).CombinedOutput()
		cancel()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() < 2 || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s with %s: %v, %s; want an exit code above 1 and %q", tt.daemon, tt.text, err, out, tt.says)
		}
		for _, word := range strings.Fields(tt.text) {
			if strings.HasSuffix(word, "none.pem") && !strings.Contains(string(out), word) {
				t.Errorf("%s with %s: %s; want the path", tt.daemon, tt.text, out)
			}
		}
		if strings.Contains(tt.says, "did you mean ui_port") || strings.Contains(tt.says, "builder_user?") {
			if line := fmt.Sprintf("wrong.cfg:%d:", 1+strings.Count(before[:strings.Index(before, tt.old)], "\n")); !strings.Contains(string(out), line) {
				t.Errorf("%s with %s: %s; want %s", tt.daemon, tt.text, out, line)
			}
		}
	}
	for daemon, key := range map[string]string{"server": f.file("server", "certs", "server_key_and_cert.pem"), "builder": f.file("builder", "private", "builder1_key_and_cert.pem")} {
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		config := map[string]string{"server": f.file("server", "server.cfg"), "builder": f.file("builder", "builder1.cfg")}[daemon]
		out, err := exec.CommandContext(t.Context(), "plague-"+daemon, "-c", config).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "chmod 600 "+key) {
			t.Errorf("%s with a key that others can read: %v, %s", daemon, err, out)
		}
	}
}
