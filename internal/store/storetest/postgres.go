// Package storetest gives tests of the store a real PostgreSQL: a cluster of
// its own in a temporary folder, reached through a socket in it.
package storetest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// ErrAbsent says that this machine has no PostgreSQL to test with.
var ErrAbsent = errors.New("no PostgreSQL here")

// Cluster is a running PostgreSQL. It ends with Stop, or with the process that
// started it, however that ends.
type Cluster struct {
	dir       string // data, and the socket beside it
	bin       string
	as        *syscall.Credential // nil: as this process
	databases atomic.Int64

	watcher *exec.Cmd // stops the cluster and removes dir when its stdin closes
	stdin   io.Closer
}

// settings make a cluster that forgets everything in a crash of the machine,
// which no test makes; all else is as PostgreSQL ships it.
const settings = `listen_addresses = ''
fsync = off
max_connections = 300
log_min_messages = fatal
`

// watch is run by sh with the name of pg_ctl and the cluster's folder. Tests
// may be killed, and nothing shall be left of them.
const watch = `read -r _; "$1" -D "$2/data" -m immediate stop >"$2/stop.log" 2>&1; rm -rf "$2"`

// Start makes and starts a cluster. durable is for measurements: commits reach
// the disk. Where PostgreSQL is not installed the error is ErrAbsent.
func Start(durable bool) (*Cluster, error) {
	c := &Cluster{}
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return nil, fmt.Errorf("%w: no /usr/lib/postgresql/*/bin", ErrAbsent)
	}
	c.bin = slices.MaxFunc(bins, func(a, b string) int { return version(a) - version(b) })
	if os.Getuid() == 0 {
		if c.as, err = account("postgres"); err != nil {
			return nil, fmt.Errorf("%w: it does not run as root: %w", ErrAbsent, err)
		}
	}
	if c.dir, err = os.MkdirTemp("", "plague-pg"); err != nil {
		return nil, err
	}
	if err := c.start(durable); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

func version(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

func account(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (c *Cluster) start(durable bool) error {
	if c.as != nil {
		if err := os.Chown(c.dir, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(c.dir, "data")
	if err := c.run("initdb", "-D", data, "-U", "plague", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return err
	}
	text := settings + "unix_socket_directories = '" + c.dir + "'\n"
	if durable {
		text = strings.Replace(text, "fsync = off\n", "", 1)
	}
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	c.watcher = exec.Command("sh", "-c", watch, "sh", filepath.Join(c.bin, "pg_ctl"), c.dir)
	c.watcher.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setpgid: true} // an interrupt of the test is not for it
	c.watcher.Dir = "/"
	if c.stdin, err = c.watcher.StdinPipe(); err != nil {
		return err
	}
	if err := c.watcher.Start(); err != nil {
		return err
	}
	if err := c.Resume(); err != nil {
		return errors.Join(err, c.Stop())
	}
	return nil
}

// run runs one of PostgreSQL's programs. Its output goes to a file, not a pipe:
// the daemon that pg_ctl leaves behind would hold a pipe open.
func (c *Cluster) run(program string, args ...string) error {
	out, err := os.CreateTemp(c.dir, program)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(said))
	}
	return nil
}

// Halt stops the cluster as a crash would; Resume starts it again.
func (c *Cluster) Halt() error {
	return c.run("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-m", "immediate", "stop")
}

// Resume starts the cluster and waits until it answers.
func (c *Cluster) Resume() error {
	return c.run("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-l", filepath.Join(c.dir, "log"), "-t", "60", "-w", "start")
}

// Stop ends the cluster and removes all of it.
func (c *Cluster) Stop() error {
	return errors.Join(c.stdin.Close(), c.watcher.Wait())
}

// address is the DSN of a database.
func (c *Cluster) address(name string) string {
	return "postgres://plague@/" + name + "?" + url.Values{"host": {c.dir}}.Encode()
}

// Database makes an empty database for one test and gives its DSN.
func (c *Cluster) Database(tb testing.TB) string {
	tb.Helper()
	admin, err := sql.Open("pgx", c.address("postgres"))
	if err != nil {
		tb.Fatal(err)
	}
	defer admin.Close()
	name := fmt.Sprintf("farm%d", c.databases.Add(1))
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		tb.Fatal(err)
	}
	return c.address(name)
}
