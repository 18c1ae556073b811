package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/wire"
)

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

// serve starts the server, and waits until it answers.
func (f *processFarm) serve() {
	f.t.Helper()
	f.server.start()
	f.wait("the server to answer", func(ctx context.Context) error {
		_, err := f.client.ListBuilders(ctx)
		return err
	})
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
	return specSRPM(t, name, spec(name, shell))
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
