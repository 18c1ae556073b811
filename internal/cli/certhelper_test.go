package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"plague/internal/pki"
)

// TestCerthelperScripts walks through certhelper as its users do, at a terminal too.
func TestCerthelperScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/certhelper*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{Files: files, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"mode": scriptMode, "holder": scriptHolder,
	}})
}

// scriptMode: mode 0600 file.
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// scriptHolder: holder file role name e-mail.
func scriptHolder(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	id, err := pki.Describe(path)
	ts.Check(err)
	if got := []string{string(id.Role), id.Name, id.Email}; strings.Join(got, "|") != strings.Join(args[1:], "|") {
		ts.Fatalf("%s says %q, want %q", args[0], got, args[1:])
	}
	if strings.HasSuffix(path, "_key_and_cert.pem") {
		_, err := pki.LoadKeyAndCert(path)
		ts.Check(err)
	}
}

func TestCerthelperRole(t *testing.T) {
	for _, tt := range []struct {
		purpose                  pki.Purpose
		role, name, email, wants string
	}{
		{pki.ForBuildSystem, "", "server", "", "server"},
		{pki.ForBuildSystem, "", "builder1", "", "builder"},
		{pki.ForBuildSystem, "", "builder1", "admin@example.org", "builder"},
		{pki.ForUsers, "", "user1", "a@example.org", "user"},
		{pki.ForUsers, "", "user1", "", "user"},
		{pki.ForUsers, "", "server", "", "user"},
		{pki.ForAnything, "", "server", "a@example.org", "server"},
		{pki.ForAnything, "", "user1", "a@example.org", "user"},
		{pki.ForAnything, "", "user1", "", "builder"},
		{pki.ForAnything, "server", "user1", "a@example.org", "server"},
	} {
		h := certhelperRun{flags: certhelperFlags{"name": {tt.name}}}
		if tt.role != "" {
			h.flags["role"] = []string{tt.role}
		}
		if got, err := h.role(tt.purpose, tt.email); err != nil || string(got) != tt.wants {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
}

// TestPatientTerminal has Ctrl-C end a question that nobody answers: a pipe that
// stays silent stands for the terminal.
func TestPatientTerminal(t *testing.T) {
	silent, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer other.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := (&patient{ctx, silent}).Read(make([]byte, 1))
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if _, err := io.WriteString(other, "x"); err != nil {
		t.Fatal(err)
	}
	if n, err := (&patient{t.Context(), silent}).Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
}
