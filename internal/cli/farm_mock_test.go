package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/builder"
	"plague/internal/pki"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// newMockFarm is a farm whose builder has the stand-in for mock. Its tests are not
// parallel: what mock leaves is seen by its account, and mock has one on a machine.
func newMockFarm(t *testing.T) *processFarm {
	t.Helper()
	f := newProcessFarm(t, shape{builders: 1, slots: 2})
	if _, err := user.LookupGroup("mock"); err != nil {
		mustRun(t, "groupadd", "--system", "mock")
	}
	if _, err := ensureAccount("plague-mock"); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "usermod", "--append", "--groups", "mock", "plague-mock")
	for _, dir := range []string{filepath.Dir(filepath.Dir(f.Dir)), f.works[0]} { // no chroot hides from rpm what it may not read
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	standIn, err := os.ReadFile("../buildroot/testdata/mock")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.file("mock"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.file("mock", "mock"), standIn, 0o755); err != nil {
		t.Fatal(err)
	}
	f.mocking("")
	f.useMock(f.file("mock", "mock"))
	return f
}

// useMock has the builder use a program as mock, with configurations in the folder
// mock of the farm.
func (f *processFarm) useMock(program string) {
	f.t.Helper()
	if err := f.edit(f.file("builder", "builder1.cfg"), "backend = native\n",
		fmt.Sprintf("backend = mock\nbuilder_cmd = %s\nmock_configdir = %s\n", program, f.file("mock"))); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(f.killMocks)
}

// mocking has the mock of the next build misbehave.
func (f *processFarm) mocking(how string) {
	f.t.Helper()
	target := string(mustRead(f.t, f.file("server", "targets", f.Target+".cfg")))
	_, url, _ := strings.Cut(target, "lab = ")
	url, _, _ = strings.Cut(url, "\n")
	text := fmt.Sprintf("config_opts['root'] = 'lab-12'\nconfig_opts['cache_topdir'] = '%s'\nconfig_opts['dnf.conf'] = '''[main]\n[lab]\nname=lab\nbaseurl=%s\n'''\nconfig_opts['misbehave'] = '%s'\n",
		f.file("mock", "cache"), strings.ReplaceAll(url, "$arch", f.Arches[0]), how)
	if err := os.WriteFile(f.file("mock", fmt.Sprintf("lab-12-%s-extras.cfg", f.Arches[0])), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// mocks lists the processes of mock's account.
func mocks(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("ps", "-u", "plague-mock", "-o", "pid=,stat=,args=").Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" || strings.Contains(line, " Z") })
}

// killMocks ends what a test that failed has left.
func (f *processFarm) killMocks() {
	for _, p := range f.builders {
		p.kill()
	}
	for _, dir := range f.works {
		killSupervisors(f.t, dir)
		if err := sweep(dir, nil, nil, nil); err != nil {
			f.t.Error(err)
		}
	}
}

// TestFarmOfMock: a package from submission to the repository, one that needs it, one
// that fails, and what is left of them.
func TestFarmOfMock(t *testing.T) {
	f := newMockFarm(t)
	f.start()
	first := f.submit(specSRPM(t, "first", spec("first", ":")))
	f.until(first, plague.JobNeedSign)
	for log, want := range map[string]string{"job.log": "mock.py version stand-in starting", "state.log": "Finish: rpmbuild first-1-1.src.rpm", "build.log": "begun ",
		"root.log": "Mock Version", "hw_info.log": "CPU info", "installed_pkgs.log": "bash-5.2-1"} {
		if text := f.result(t, f.Target+"/1-first-1-1", log); !strings.Contains(text, want) {
			t.Errorf("%s does not say %q:\n%s", log, want, text)
		}
	}
	needs := func(name, what string) string {
		return specSRPM(t, name, strings.Replace(spec(name, ":"), "BuildArch", "BuildRequires: "+what+"\nBuildArch", 1))
	}
	f.until(f.submit(needs("second", "first")), plague.JobNeedSign)
	if job := f.until(f.submit(needs("third", "nonesuch")), plague.JobFailed); !strings.Contains(job.Reason, "nothing provides nonesuch") || job.Archjobs[0].Attempt != 1 {
		t.Errorf("what cannot be built: %q after %d attempts", job.Reason, job.Archjobs[0].Attempt)
	}
	if got := strings.Join(f.published(), " "); got != "first-1-1 second-1-1" {
		t.Errorf("the repository holds %s", got)
	}
	f.mockLeftNothing()
}

// mockLeftNothing waits until a builder is as it was.
func (f *processFarm) mockLeftNothing() {
	f.t.Helper()
	f.nothingLeft()
	f.wait("mock's folders and processes to be gone", func(context.Context) error {
		if left := append(f.work("mock", "*"), mocks(f.t)...); len(left) > 0 {
			return fmt.Errorf("%q", left)
		}
		return nil
	})
}

// asServer is the builder's door with the server's key.
func (f *processFarm) asServer() (calls *xmlrpc.Client, link *wire.Builder) {
	f.t.Helper()
	cfg, err := readServerConfig(f.file("server", "server.cfg"))
	if err != nil {
		f.t.Fatal(err)
	}
	keys, err := cfg.keys()
	if err != nil {
		f.t.Fatal(err)
	}
	b := cfg.builders[0]
	link = &wire.Builder{RPC: &xmlrpc.Client{URL: b.url + wire.RPCPath, HTTP: httpsClient(pki.ClientConfig(&keys.cert, keys.system, expectBuilder(b)))}}
	f.t.Cleanup(link.RPC.HTTP.CloseIdleConnections)
	return link.RPC, link
}

// TestMockTrouble: while mock hangs, floods its output or is deaf to signals the
// builder answers within a second; its build can be killed, and nothing stays.
func TestMockTrouble(t *testing.T) {
	f := newMockFarm(t)
	f.start()
	rpc, link := f.asServer()
	for i, how := range []string{"rpmbuild: hangs", "rpmbuild: floods its output", "rpmbuild: floods its log", "rpmbuild: is deaf"} {
		f.mocking(how)
		uid := f.submit(specSRPM(t, fmt.Sprintf("trouble%d", i), spec(fmt.Sprintf("trouble%d", i), ":")))
		f.building(uid)
		var fence builder.Bound
		if err := json.Unmarshal(mustRead(t, f.work("daemon", "orders.json")[0]), &fence); err != nil {
			t.Fatal(err)
		}
		slowest := time.Duration(0)
		answered := func(what string, call func(ctx context.Context) error) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			begun := time.Now()
			if err := call(ctx); err != nil {
				t.Errorf("%s while mock %s: %v", what, how, err)
			}
			slowest = max(slowest, time.Since(begun))
		}
		for range 20 {
			answered("sync", func(ctx context.Context) error { // the same orders again: they change nothing
				r, err := link.Sync(ctx, plague.Orders{Farm: fence.Farm, Term: fence.Term, Sequence: fence.Sequence})
				if err == nil && len(r.Attempts) == 0 {
					err = errors.New("it reports no attempt")
				}
				return err
			})
			answered("job_status", func(ctx context.Context) error {
				got, err := rpc.Call(ctx, wire.CallJobStatus, i+1)
				if err == nil && got != string(plague.PhaseBuilding) {
					err = fmt.Errorf("it says %v", got)
				}
				return err
			})
		}
		if slowest > time.Second {
			t.Errorf("while mock %s the builder took %s to answer", how, slowest)
		}
		begun := time.Now()
		if out, errs, code := f.run("kill", fmt.Sprint(uid)); code != 0 {
			t.Fatalf("kill: exit %d\n%s%s", code, out, errs)
		}
		f.until(uid, plague.JobKilled)
		f.mockLeftNothing()
		t.Logf("while mock %s: slowest answer %s, all gone %s after the kill", how, slowest.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
	}
}

// TestMockLosesItsSupervisor: the warden sweeps after it, and the job is built again.
func TestMockLosesItsSupervisor(t *testing.T) {
	f := newMockFarm(t)
	f.start()
	f.mocking("rpmbuild: is deaf")
	uid := f.submit(specSRPM(t, "lost", spec("lost", ":")))
	f.building(uid)
	f.mocking("")
	killSupervisors(t, f.Dir)
	if job := f.until(uid, plague.JobNeedSign); job.Archjobs[0].Attempt != 2 {
		t.Errorf("%d attempts, want two", job.Archjobs[0].Attempt)
	}
	f.mockLeftNothing()
	if left, err := filepath.Glob(f.file("mock", "cache", "*")); err != nil || len(left) > 0 {
		t.Errorf("mock's cache: %v, %v", left, err)
	}
}
