package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"plague/internal/pki"
	"plague/internal/server"
)

// TestClientScripts walks through the client and the user manager as their
// users do: as processes, against a real server.
func TestClientScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/client_*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Files: files,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode": scriptMode, "exits": scriptExits, "config": scriptConfig,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else -race makes each program wait a second at its end
			if err := os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700); err != nil {
				return err
			}
			if err := makeCertificates(filepath.Join(env.WorkDir, "certs")); err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(env.WorkDir, "hello.spec")); err != nil {
				return nil // this script needs no server
			}
			f, err := openFarm(t, env.WorkDir, server.Options{})
			if err != nil {
				return err
			}
			f.lead()
			env.Defer(f.stop)
			env.Setenv("USERDB", f.userdb)
			env.Setenv(clientConfigEnv, f.config)
			return nil
		},
	})
}

// scriptExits: exits code command argument...
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// scriptConfig: config file address.
func scriptConfig(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(clientConfigFor(args[1])), 0o600))
}

// clientConfigFor is a configuration beside the folder of makeCertificates.
func clientConfigFor(address string) string {
	return `[Certs]
user-cert = certs/me.pem
user-key =
# relative paths count from this file
user-ca-cert = certs/users/users_ca_cert.pem
server-ca-cert = certs/build/buildsystem_ca_cert.pem

[User]
email = me@example.com

[Server]
address = ` + address + `
upload_user = me
allow_uploads = yes
`
}

// makeCertificates makes both CAs, a third that nobody trusts, the server's
// certificate, a user's, and some that must be refused.
func makeCertificates(dir string) error {
	cas := map[string]*pki.CA{}
	for sub, name := range map[string]string{"build": "buildsystem", "users": "users", "others": "others"} {
		if err := pki.CreateCA(filepath.Join(dir, sub), name, pki.Subject{}); err != nil {
			return err
		}
		ca, err := pki.LoadCA(filepath.Join(dir, sub), name)
		if err != nil {
			return err
		}
		cas[sub] = ca
	}
	if err := os.Symlink("others/others_ca_cert.pem", filepath.Join(dir, "others_ca_cert.pem")); err != nil {
		return err
	}
	me := pki.Request{Role: pki.RoleUser, Name: "me", Email: "me@example.com"}
	ended := me
	ended.Life = time.Nanosecond
	for _, c := range []struct {
		ca      string
		request pki.Request
		file    string
	}{
		{"build", pki.Request{Role: pki.RoleServer, Name: "server", Hosts: []string{"127.0.0.1"}}, "server"},
		{"users", me, "me"},
		{"users", ended, "ended"},
		{"others", me, "foreign"},
	} {
		cert, key, err := cas[c.ca].Issue(c.request)
		if err != nil {
			return err
		}
		for name, data := range map[string][]byte{c.file + ".pem": append(key, cert...), c.file + "_key.pem": key, c.file + "_cert.pem": cert} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
