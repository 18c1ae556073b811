package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plague"
	"plague/internal/pki"
	"plague/internal/wire"
)

// processFarm is a farm as `plague up` makes it, with any number of builders,
// whose processes the test starts, kills and starts again.
type processFarm struct {
	*farm
	t        *testing.T
	client   *client
	path     string // PATH of the processes; empty: the test's
	server   *process
	builders []*process
	works    []string // the builders' work folders
}

// shape is what a processFarm is made of.
type shape struct {
	builders int
	slots    int
	lease    time.Duration     // default 120 s
	server   string            // further lines of server.cfg
	workDirs map[string]string // of builders that shall not have theirs below the farm's folder
}

// newProcessFarm makes a farm; nothing of it runs yet.
func newProcessFarm(t *testing.T, s shape) *processFarm {
	t.Helper()
	if testing.Short() {
		t.Skip("real builds take their time")
	}
	distro := serveDistro(t)
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the farm's accounts pass through
		t.Fatal(err)
	}
	u := upFlags{dir: filepath.Join(dir, "farm"), base: []string{"lab=" + distro}, distro: "lab", target: "12", repo: "extras",
		arches: nativeArches()[:1], user: "packager@example.com", slots: s.slots}
	made, err := u.make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := &processFarm{farm: made, t: t}
	t.Cleanup(f.stop)
	if err := f.shape(s); err != nil {
		t.Fatal(err)
	}
	f.server = &process{farm: f, name: "server", account: "plague-server", args: []string{"server", "-c", f.file("server", "server.cfg")}}
	if f.client, err = connectWith(f.Client); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *processFarm) file(elem ...string) string { return f.farm.path(elem...) }

// shape completes what `plague up` made: more builders, small buildroots, and
// layers that all tests of this machine share.
func (f *processFarm) shape(s shape) error {
	ca, err := pki.LoadCA(f.file("ca"), "buildsystem")
	if err != nil {
		return err
	}
	ports, err := freePorts(make([]int, max(1, s.builders))...)
	if err != nil {
		return err
	}
	one, err := os.ReadFile(f.file("builder", "builder.cfg"))
	if err != nil {
		return err
	}
	var links []string
	for i := range s.builders {
		name := fmt.Sprintf("builder%d", i+1)
		cert, key, err := ca.Issue(pki.Request{Role: pki.RoleBuilder, Name: name})
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.file("builder", "private", name+"_key_and_cert.pem"), append(key, cert...), 0o600); err != nil {
			return err
		}
		work := s.workDirs[name]
		if work == "" {
			work = f.file("builder", name)
		}
		address := strings.TrimPrefix(f.Builder, "https://127.0.0.1:")
		text := strings.NewReplacer("builder1_key_and_cert.pem", name+"_key_and_cert.pem", "work_dir = work\n", "work_dir = "+work+"\n",
			"port = "+address+"\n", fmt.Sprintf("port = %d\nfirst_uid = %d\n", ports[i], testUID()+100*i)).Replace(string(one))
		if err := os.WriteFile(f.file("builder", name+".cfg"), []byte(text), 0o644); err != nil {
			return err
		}
		if err := shareLayers(f.t, work); err != nil {
			return err
		}
		f.works = append(f.works, work)
		links = append(links, fmt.Sprintf("https://127.0.0.1:%d %s", ports[i], name))
		f.builders = append(f.builders, &process{farm: f, name: name, args: []string{"builder", "-c", f.file("builder", name+".cfg")}})
	}
	if s.lease > 0 {
		s.server += fmt.Sprintf("lease = %d\n", int(s.lease.Seconds()))
	}
	if err := f.edit(f.file("server", "server.cfg"), "builders = "+f.Builder+" builder1\n", "builders = "+strings.Join(links, ", ")+"\n"+s.server); err != nil {
		return err
	}
	return f.edit(f.file("server", "targets", f.Target+".cfg"), "packages = @buildsys-build", "packages = "+smallBase)
}

// smallBase is enough to build a package that is one file of text.
const smallBase = "filesystem, lab-release, bash, coreutils, libc-bin, rpm, sed, grep, gawk, tar, gzip, cpio, findutils, diffutils, file, make, patch"

// testUID is the first of the uids of this process's farms; another one that
// runs at the same time has others.
func testUID() int { return 200_000 + os.Getpid()%1000*1000 }

// shareLayers makes a builder use the layers of those before it.
func shareLayers(t *testing.T, work string) error {
	shared := filepath.Join(cacheDir(t), "farm-layers")
	for dir, mode := range map[string]fs.FileMode{shared: 0o700, filepath.Join(work, "cache"): 0o711} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return err
		}
	}
	return os.Symlink(shared, filepath.Join(work, "cache", "layers"))
}

// edit replaces something that must be in a file; its owner stays.
func (f *processFarm) edit(file, old, text string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Contains(data, []byte(old)) {
		return fmt.Errorf("%s has no %q", file, old)
	}
	return os.WriteFile(file, bytes.Replace(data, []byte(old), []byte(text), 1), 0o600)
}

// start starts all processes and waits until the farm answers.
func (f *processFarm) start() {
	f.t.Helper()
	for _, p := range append([]*process{f.server}, f.builders...) {
		p.start()
	}
	f.wait("the farm to answer", func(ctx context.Context) error { return f.answers(ctx) })
}

// work lists the files of all builders' work folders that fit a pattern.
func (f *processFarm) work(pattern ...string) (all []string) {
	f.t.Helper()
	for _, dir := range f.works {
		found, err := filepath.Glob(filepath.Join(append([]string{dir}, pattern...)...))
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// stop ends all processes, and builds that go on without them.
func (f *processFarm) stop() {
	for _, p := range append(slices.Clone(f.builders), f.server) {
		if p != nil {
			p.kill()
		}
	}
	for _, dir := range f.works {
		killSupervisors(f.t, dir)
	}
	if !f.t.Failed() {
		return
	}
	for _, p := range append(slices.Clone(f.builders), f.server) {
		if data, err := os.ReadFile(p.log()); err == nil {
			f.t.Logf("the log of %s ends:\n%s", p.name, data[max(0, len(data)-6000):])
		}
	}
}

// supervisors lists the processes that supervise attempts below a folder, by
// their attempt's folder. What a supervisor forks bears its name, and leads a
// session, too, until it runs something else: it has the supervisor for a parent.
func supervisors(dir string) map[int]string {
	all := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, file := range files {
		var pid int
		fmt.Sscanf(file, "/proc/%d/", &pid)
		if attempt, ok := supervises(pid); ok && strings.HasPrefix(attempt, dir) {
			if of, child := supervises(parent(pid)); !child || of != attempt {
				all[pid] = attempt
			}
		}
	}
	return all
}

// supervises tells by its command line whether a process is a supervisor, and of
// which attempt.
func supervises(pid int) (attempt string, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	words := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	if err != nil || len(words) != 3 || words[1] != "supervise" {
		return "", false
	}
	return words[2], true
}

// parent is the parent of a process; 0: it is gone.
func parent(pid int) (ppid int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// proc(5): the name in parentheses may hold anything, then come state and parent
	fmt.Sscanf(string(data[bytes.LastIndexByte(data, ')')+1:]), " %c %d", new(rune), &ppid)
	return ppid
}

func killSupervisors(t *testing.T, dir string) {
	for pid := range supervisors(dir) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("kill supervisor %d: %v", pid, err)
		}
	}
	for end := time.Now().Add(time.Minute); len(supervisors(dir)) > 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("supervisors do not die: %v", supervisors(dir))
			return
		}
	}
}

// process is a server or a builder. One that ends by itself is started again,
// as `plague up` and systemd do: the one before may still hold its door.
type process struct {
	farm    *processFarm
	name    string
	account string // runs as it; empty: as root
	args    []string

	mu   sync.Mutex // guards the fields below
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	down bool          // it was killed, and is not to be started again
}

func (p *process) log() string { return p.farm.file(p.name + ".log") }

func (p *process) start() {
	p.farm.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
	if err := p.begin(); err != nil {
		p.farm.t.Fatalf("%s: %v", p.name, err)
	}
}

// begin starts the process. p.mu is held.
func (p *process) begin() error {
	log, err := os.OpenFile(p.log(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("plague", p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.account != "" {
		if cmd.SysProcAttr.Credential, err = ensureAccount(p.account); err != nil {
			return err
		}
		cmd.Path, cmd.Args[0] = "/proc/self/exe", "plague" // the account cannot reach the test's own folder
	}
	if p.farm.path != "" {
		cmd.Env = append(os.Environ(), "PATH="+p.farm.path)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go p.attend(cmd, p.done)
	return nil
}

// attend waits for the end of a process, and starts it again if nobody wanted it.
func (p *process) attend(cmd *exec.Cmd, done chan struct{}) {
	cmd.Wait() // how it ended is in its log
	close(done)
	<-time.After(firstPause)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down || p.cmd != cmd {
		return
	}
	if err := p.begin(); err != nil {
		p.farm.t.Errorf("%s: %v", p.name, err)
	}
}

// kill kills the process and waits for its end.
func (p *process) kill() {
	p.mu.Lock()
	p.down = true
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill() // one that has ended already has what it shall have
	select {
	case <-done:
	case <-time.After(time.Minute):
		p.farm.t.Errorf("%s does not end", p.name)
	}
}

// daemon is the pid of a builder's unprivileged half; 0: there is none now.
func (p *process) daemon() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	for _, pid := range children(p.cmd.Process.Pid) {
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(data), "builder-daemon") {
			return pid
		}
	}
	return 0
}

// waitBound is generous: what waits goes on with the condition.
const waitBound = 5 * time.Minute

// wait waits until a condition holds, which says why it does not yet.
func (f *processFarm) wait(what string, holds func(context.Context) error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waitBound)
	defer cancel()
	for {
		err := holds(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("waited %s for %s: %v", waitBound, what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// run runs a command of the program as the farm's user, and gives what it says
// and its exit code.
func (f *processFarm) run(args ...string) (out, errs string, code int) {
	f.t.Helper()
	return f.runAs(f.Client, args...)
}

func (f *processFarm) runAs(config string, args ...string) (out, errs string, code int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waitBound)
	defer cancel()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(ctx, "plague-client", args...)
	cmd.Env = append(os.Environ(), clientConfigEnv+"="+config)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		f.t.Fatalf("plague-client %q: %v, %v", args, err, ctx.Err())
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// submit submits an SRPM and gives the job's uid.
func (f *processFarm) submit(srpm string, args ...string) plague.JobID {
	f.t.Helper()
	out, errs, code := f.run(append(append([]string{"build", "--json"}, args...), srpm, "devel")...)
	var answer struct{ UID plague.JobID }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 {
		f.t.Fatalf("build %s: exit %d, %v\n%s%s", srpm, code, err, out, errs)
	}
	return answer.UID
}

// until waits until a job is in a state, and fails when it rests in another.
func (f *processFarm) until(uid plague.JobID, state plague.JobState) (job wire.JobRecord) {
	f.t.Helper()
	f.wait(fmt.Sprintf("job %d to be %s", uid, state), func(ctx context.Context) (err error) {
		if job, err = f.client.Job(ctx, uid); err != nil {
			return err
		}
		if plague.JobState(job.Status) == state {
			return nil
		}
		if job.Resting {
			f.t.Fatalf("job %d (%s) is %s, want %s: %s", uid, job.Package, job.Status, state, job.Reason)
		}
		return fmt.Errorf("it is %s: %+v", job.Status, job.Archjobs)
	})
	return job
}

// building waits until a job's %build runs, on the evidence of its live log.
func (f *processFarm) building(uid plague.JobID) {
	f.t.Helper()
	f.wait(fmt.Sprintf("job %d to run its %%build", uid), func(ctx context.Context) error {
		job, err := f.client.Job(ctx, uid)
		if err != nil {
			return err
		}
		if job.Resting {
			f.t.Fatalf("job %d is %s: %s", uid, job.Status, job.Reason)
		}
		if len(job.Archjobs) != 1 || job.Archjobs[0].BuilderStatus != string(plague.PhaseBuilding) {
			return fmt.Errorf("it is %s: %+v", job.Status, job.Archjobs)
		}
		return nil
	})
}

// published asks dnf for all RPMs of the farm's repository, as name-version-release.
func (f *processFarm) published() []string {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), "dnf", "-q", "--setopt=reposdir=/dev/null", "--setopt=plugins=0", "--setopt=gpgcheck=0", "--setopt=cachedir="+f.t.TempDir(),
		fmt.Sprintf("--repofrompath=farm,%s/repos/%s/%s/", f.Web, f.Target, f.Arches[0]), "--setopt=farm.sslcacert="+f.CA,
		"repoquery", "--available", "--qf", "%{name}-%{version}-%{release}")
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("dnf repoquery: %v", err)
	}
	return slices.Sorted(slices.Values(strings.Fields(string(out))))
}

// spec is a source package of one file that needs nothing and builds at once;
// shell runs in its %build.
func spec(name, shell string) string {
	return fmt.Sprintf(`Name: %[1]s
Version: 1
Release: 1
Summary: A package of the tests
License: MIT
BuildArch: noarch

%%description
A package of the tests.

%%build
echo "begun $(cat /proc/sys/kernel/random/uuid)"
%[2]s

%%install
install -d %%{buildroot}%%{_datadir}
echo %[1]s >%%{buildroot}%%{_datadir}/%[1]s

%%files
%%{_datadir}/%[1]s
`, name, shell)
}

// tinySRPM makes the source package of a spec.
func tinySRPM(t *testing.T, name, shell string) string {
	t.Helper()
	top := t.TempDir()
	file := filepath.Join(top, name+".spec")
	if err := os.WriteFile(file, []byte(spec(name, shell)), 0o644); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "rpmbuild", "--quiet", "-bs", "--nodeps", "--define", "_topdir "+top, "--define", "dist %{nil}", file)
	return filepath.Join(top, "SRPMS", name+"-1-1.src.rpm")
}

// mounts lists what is mounted below a folder.
func mounts(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, dir) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}
