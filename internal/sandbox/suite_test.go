package sandbox_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"

	"plague/internal/sandbox"
	"plague/internal/sandbox/sandboxtest"
)

// slot is a uid that nobody else uses.
const slot = 61042

func TestMain(m *testing.M) {
	if handled, code := sandbox.Main(os.Args); handled {
		syscall.Exit(code) // not os.Exit, in which the race detector waits a second for stragglers
	}
	if len(os.Args) == 3 && os.Args[0] == "sandbox-parent" {
		parent(os.Args[1], os.Args[2])
	}
	if len(os.Args) == 1 && os.Args[0] == "sandbox-alone" {
		alone()
	}
	if os.Getuid() == 0 { // a group that no command may inherit
		if err := syscall.Setgroups([]int{slot + 1}); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("namespaces with real uids need root")
	}
}

// tools is a command without arguments among this machine's programs.
func tools(t *testing.T) sandbox.Command {
	t.Helper()
	dir := t.TempDir()
	layer := filepath.Join(dir, "tools")
	binds, err := sandbox.HostTools(layer)
	if err != nil {
		t.Fatal(err)
	}
	return sandbox.Command{Layers: []string{layer}, Binds: binds, Work: filepath.Join(dir, "run"), UID: slot, GID: slot}
}

func TestNative(t *testing.T) {
	needRoot(t)
	sandboxtest.Run(t, sandboxtest.Kit{
		New:     func(*testing.T, sandboxtest.Behaviour) sandbox.Sandbox { return sandbox.Native{} },
		Command: tools,
		Around:  func(t *testing.T, test func(*testing.T)) { test(t) },
	})
}

func TestFake(t *testing.T) {
	sandboxtest.Run(t, sandboxtest.Kit{
		New: func(_ *testing.T, shell sandboxtest.Behaviour) sandbox.Sandbox {
			return sandboxtest.Fake(map[string]sandboxtest.Behaviour{"/bin/sh": shell})
		},
		Command: func(t *testing.T) sandbox.Command {
			return sandbox.Command{Layers: []string{"/layer"}, Work: filepath.Join(t.TempDir(), "run"), UID: os.Getuid(), GID: os.Getgid()}
		},
		Around: synctest.Test,
	})
}
