package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"plague/internal/wire"
)

// lockDatabase holds the one lock of SQLite's writers, as a backup or somebody's
// forgotten shell does, until it is called.
func (f *processFarm) lockDatabase() (unlock func()) {
	f.t.Helper()
	const hold = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()`
	c := exec.CommandContext(f.t.Context(), mustLook(f.t, "python3"), "-c", hold, f.file("server", "userdb"))
	in, err := c.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		f.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		f.t.Fatalf("%q, %v", line, err)
	}
	return func() {
		if err := errors.Join(in.Close(), c.Wait()); err != nil {
			f.t.Error(err)
		}
	}
}

// insistent is a client that submits a job until it can.
type insistent struct {
	farm *processFarm
	cmd  *exec.Cmd
	said string // file
}

// insist begins to submit a job.
func (f *processFarm) insist(srpm string) *insistent {
	f.t.Helper()
	c := &insistent{f, exec.CommandContext(f.t.Context(), "plague-client", "build", srpm, "devel"), filepath.Join(f.t.TempDir(), "said")}
	c.cmd.Env = append(os.Environ(), clientConfigEnv+"="+f.Client)
	out, err := os.Create(c.said)
	if err != nil {
		f.t.Fatal(err)
	}
	defer out.Close()
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if err := c.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// says waits until it says that it tries again, and why: one of these words.
func (c *insistent) says(words ...string) {
	c.farm.t.Helper()
	c.farm.wait("the client to say why it waits", func(context.Context) error {
		text := string(mustRead(c.farm.t, c.said))
		if strings.Contains(text, "trying again: ") && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) {
			return nil
		}
		return errors.New(text)
	})
}

func (c *insistent) succeeds() {
	c.farm.t.Helper()
	if err := c.cmd.Wait(); err != nil {
		c.farm.t.Fatalf("build: %v\n%s", err, mustRead(c.farm.t, c.said))
	}
}

// tmpfs mounts a small disk.
func tmpfs(t *testing.T, dir, size string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o711); err != nil { // the farm's accounts pass through
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,size="+size); err != nil {
		t.Skipf("no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// moveServer puts the server's folder, with database and artifacts, onto
// another disk. Its results stay where they are.
func (f *processFarm) moveServer(disk string) {
	f.t.Helper()
	mustRun(f.t, "cp", "-a", f.file("server"), disk)
	mustRun(f.t, "rm", "-r", f.file("server"))
	if err := os.Symlink(filepath.Join(disk, "server"), f.file("server")); err != nil {
		f.t.Fatal(err)
	}
}

func mustLook(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// fillDisk takes room away.
func fillDisk(t *testing.T, file string, size int64) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := syscall.Fallocate(int(out.Fd()), 0, 0, size); err != nil {
		t.Fatal(err)
	}
}

// fillUp takes all room away.
func fillUp(t *testing.T, file string) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(file), &st); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, file, int64(st.Bavail)*st.Bsize)
}

// builder is what the server says of a builder.
func (f *processFarm) builder(ctx context.Context, name string) (wire.BuilderRecord, error) {
	all, err := f.client.ListBuilders(ctx)
	for _, b := range all {
		if b.Name == name {
			return b, nil
		}
	}
	return wire.BuilderRecord{}, errors.Join(fmt.Errorf("there is no %s among %d builders", name, len(all)), err)
}

// serverSays waits until the server's log holds a text.
func (f *processFarm) serverSays(text string) {
	f.t.Helper()
	f.wait("the server's log to say "+text, func(context.Context) error {
		if log := string(mustRead(f.t, f.server.log())); !strings.Contains(log, text) {
			return errors.New(log[max(0, len(log)-4000):])
		}
		return nil
	})
}
