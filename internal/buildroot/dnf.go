package buildroot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"plague/internal/rpm"
)

// dnf resolves and downloads, outside of the sandbox because it needs the
// network, and therefore as a user who may do nothing else: it never installs.
// It believes to be root, being mapped so in a user namespace, for without that
// it refuses to work.
type dnf struct {
	dir      string // its folder: configuration, home, downloads; belongs to uid
	cache    string // metadata and packages, shared by all builds; belongs to uid
	arch     string
	uid, gid int
	repos    []Repo
	log      io.Writer
}

// fetchTime bounds one run: metadata and packages of one buildroot.
const fetchTime = time.Hour

// begin makes the folders and the configuration. What this process writes lies in
// folders of its own, where the user of downloads can read and no more: nobody
// is to lay a link for root there.
func (d *dnf) begin() error {
	if err := os.MkdirAll(d.cache, 0o700); err != nil {
		return err
	}
	if err := d.give(d.cache); err != nil {
		return err
	}
	for _, name := range []string{"", "home", "empty"} {
		if err := d.mkdir(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"persist", "log", "tmp"} {
		if err := d.mkdir(name); err != nil {
			return err
		}
		if err := d.give(filepath.Join(d.dir, name)); err != nil {
			return err
		}
	}
	conf, err := d.conf()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, "dnf.conf"), []byte(conf), 0o644)
}

func (d *dnf) conf() (string, error) {
	var conf strings.Builder
	conf.WriteString("[main]\ngpgcheck=0\nbest=1\ninstall_weak_deps=0\nkeepcache=1\nplugins=1\ndeltarpm=0\nretries=3\ntimeout=30\nskip_if_unavailable=0\n")
	for i, r := range d.repos {
		if err := r.valid(); err != nil {
			return "", err
		}
		expire := "0"
		if r.RepomdSHA256 != "" { // what is pinned never changes; pinned() checks it
			expire = "-1"
		}
		fmt.Fprintf(&conf, "\n[%s]\nname=%s\nbaseurl=%s\nmetadata_expire=%s\n", r.dnfID(), r.ID, r.URL, expire)
		if r.CACert != "" {
			ca := filepath.Join(d.dir, fmt.Sprintf("ca%d.pem", i))
			if err := copyFile(ca, r.CACert); err != nil {
				return "", fmt.Errorf("CA certificate of repository %s: %w", r.ID, err)
			}
			fmt.Fprintf(&conf, "sslcacert=%s\n", ca)
		}
	}
	return conf.String(), nil
}

// mkdir makes a folder of ours that the user of downloads may read.
func (d *dnf) mkdir(name string) error {
	dir := filepath.Join(d.dir, name)
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	if d.uid < 1 {
		return nil
	}
	return os.Lchown(dir, -1, d.gid)
}

// give makes the user of downloads the owner of a folder.
func (d *dnf) give(dir string) error {
	if d.uid < 1 {
		return nil
	}
	return os.Lchown(dir, d.uid, d.gid)
}

// download has dnf fetch what the arguments ask for and the ghost root lacks. It
// gives the folder that holds the RPMs, and their names.
func (d *dnf) download(ctx context.Context, in ghost, args ...string) (dir string, names []string, err error) {
	dir = in.path + "-rpms"
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, err
	}
	if err := d.give(dir); err != nil {
		return "", nil, err
	}
	macros := filepath.Join(d.dir, "home", ".rpmmacros")
	if err := os.WriteFile(macros, []byte("%_dbpath "+in.dbpath+"\n"), 0o644); err != nil {
		return "", nil, err
	}
	all := append([]string{"-y", "-c", filepath.Join(d.dir, "dnf.conf"), "--installroot=" + in.path, "--releasever=1",
		"--forcearch=" + d.arch, "--disableplugin=*", "--enableplugin=builddep", "--downloadonly", "--destdir=" + dir,
		"--setopt=cachedir=" + d.cache, "--setopt=persistdir=" + filepath.Join(d.dir, "persist"),
		"--setopt=logdir=" + filepath.Join(d.dir, "log"), "--setopt=reposdir=" + filepath.Join(d.dir, "empty"),
		"--setopt=varsdir=" + filepath.Join(d.dir, "empty"), "--setopt=pluginconfpath=" + filepath.Join(d.dir, "empty")}, args...)
	said, err := d.run(ctx, all)
	if perr := d.pinned(); perr != nil {
		return "", nil, perr // whatever was resolved, it was not from what was asked for
	}
	if err != nil {
		return "", nil, explain(said, err)
	}
	if err := os.Lchown(dir, 0, 0); d.uid >= 1 && err != nil { // from here on they are as they were checked
		return "", nil, err
	}
	names, err = rpmNames(dir)
	return dir, names, err
}

func (d *dnf) run(ctx context.Context, args []string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	runtime.LockOSThread() // Pdeathsig follows the thread
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "dnf", args...)
	cmd.Dir = d.dir
	cmd.Env = []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=" + filepath.Join(d.dir, "home"), "LC_ALL=C.UTF-8", "TERM=dumb", "TMPDIR=" + filepath.Join(d.dir, "tmp")}
	end := &tail{max: 256 << 10}
	cmd.Stdout = io.MultiWriter(d.log, end)
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if d.uid >= 1 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: d.uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: d.gid, Size: 1}}
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
		cmd.SysProcAttr.Credential = &syscall.Credential{Groups: []uint32{}}
	}
	err = cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return end.String(), err
}

// explain makes of what dnf said who has to mend it. What is not known to be the
// package's doing is the farm's: network, disk, repositories.
func explain(said string, err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("run dnf: %w", err)
	}
	if err := unsolved(said); err != nil {
		return err
	}
	if i := strings.LastIndex(said, "Error: "); i >= 0 {
		line, _, _ := strings.Cut(said[i+len("Error: "):], "\n")
		return fmt.Errorf("dnf: %s", line)
	}
	return fmt.Errorf("run dnf: %w", err)
}

// unsolved finds in what dnf said which packages it could not find, or install
// together; nil: it says nothing of that.
func unsolved(said string) error {
	var unmet []string
	for _, m := range regexp.MustCompile(`(?m)^(?:No matching package to install: '(.*)'|No match for argument: (.*))$`).FindAllStringSubmatch(said, -1) {
		if name := m[1] + m[2]; !slices.Contains(unmet, name) {
			unmet = append(unmet, name)
		}
	}
	if len(unmet) > 0 {
		return packageTrouble("nothing provides %s", strings.Join(unmet, ", "))
	}
	var problems []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Problem") || strings.HasPrefix(line, "- nothing provides") || strings.HasPrefix(line, "- conflicting") {
			problems = append(problems, strings.TrimPrefix(line, "- "))
		}
	}
	if len(problems) > 0 {
		return packageTrouble("packages cannot be installed together: %s", strings.Join(problems, "; "))
	}
	return nil
}

// rpmNames lists the RPMs in a folder of downloads.
func rpmNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := rpm.ParseFilename(e.Name()); err != nil || !e.Type().IsRegular() {
			return nil, fmt.Errorf("dnf left %q among the packages", e.Name())
		}
		names = append(names, e.Name())
	}
	return names, nil
}

// tail keeps the end of what is written.
type tail struct {
	max int
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if extra := t.buf.Len() - 2*t.max; extra > 0 { // seldom, so that it costs little
		t.buf.Next(t.buf.Len() - t.max)
	}
	return len(p), nil
}

func (t *tail) String() string { return t.buf.String() }
