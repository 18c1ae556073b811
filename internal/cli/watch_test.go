package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/server"
	"plague/internal/store"
	"plague/internal/store/storetest"
)

// builtJob is a job whose builder is the test.
type builtJob struct {
	t     *testing.T
	f     *liveFarm
	term  store.Term
	uid   plague.JobID
	tries map[string]plague.AttemptID // by arch, the newest
}

func newJob(t *testing.T, f *liveFarm, arches ...string) *builtJob {
	t.Helper()
	j := &builtJob{t: t, f: f, tries: map[string]plague.AttemptID{}}
	var err error
	j.term, err = f.db.Acquire(t.Context(), "test", time.Hour)
	j.must(err)
	srpm := strings.Repeat("ab", 32)
	j.must(f.db.AddUpload(t.Context(), time.Now(), "me@example.com", srpm, 1))
	j.uid, err = f.db.Submit(t.Context(), time.Now(), store.NewJob{
		User: "me@example.com", Package: "hello", Source: "hello-1.0-1.src.rpm", SRPM: srpm, SRPMSize: 1,
		Target: "fedora-development-extras", Epoch: "0", Version: "1.0", Release: "1",
	})
	j.must(err)
	_, err = f.db.Begin(t.Context(), j.term, time.Now(), []plague.JobID{j.uid})
	j.must(err)
	var ds []plague.Decision
	for _, arch := range arches {
		ds = append(ds, plague.Decision{Arch: arch, Built: true})
	}
	j.must(f.db.Build(t.Context(), j.term, time.Now(), j.uid, 1, ds, plague.Pin{}))
	return j
}

func (j *builtJob) must(err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
}

// run lets the builder take an arch, and gives the log it writes.
func (j *builtJob) run(arch string) *buildlog.Writer {
	j.t.Helper()
	all, err := j.f.db.ArchJobs(j.t.Context(), j.uid, 1)
	j.must(err)
	for _, a := range all {
		if a.Arch != arch {
			continue
		}
		given, err := j.f.db.Assign(j.t.Context(), j.term, time.Now(), []store.Assignment{{ArchJob: a.ID, Builder: "b1", Token: fmt.Sprint("token", a.Attempt)}})
		j.must(err)
		j.tries[arch] = given[0]
		j.must(j.f.db.Running(j.t.Context(), j.term, time.Now(), given[0], "b1", plague.PhaseBuilding))
		job, err := j.f.db.Job(j.t.Context(), j.uid)
		j.must(err)
		dir := path.Join(server.ResultDir(job), "attempts", fmt.Sprintf("1-%s-%d", arch, given[0].Number))
		j.must(j.f.results.MkdirAll(dir, 0o755))
		w, err := buildlog.Create(j.f.results, path.Join(dir, "build.log"), 1<<20)
		j.must(err)
		return w
	}
	j.t.Fatalf("no arch job for %s", arch)
	return nil
}

// end ends an arch's attempt, well or not.
func (j *builtJob) end(arch string, failure *plague.Failure) {
	j.t.Helper()
	j.must(j.f.db.Ended(j.t.Context(), j.term, time.Now(), j.tries[arch], "b1", failure, nil, plague.Usage{}))
	d, err := storetest.Only(j.f.db.ClaimDownloads(j.t.Context(), time.Now(), "test", time.Minute, 1, 100))
	j.must(err)
	j.must(j.f.db.Accept(j.t.Context(), time.Now(), d, "test", nil))
}

// watched is a watcher that runs; lines come as it writes them.
type watched struct {
	t      *testing.T
	lines  *bufio.Scanner
	err    lockedBuffer
	result chan error
}

func watch(t *testing.T, c *client, flags watchFlags, uids ...plague.JobID) *watched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, w := io.Pipe()
	x := &watched{t: t, lines: bufio.NewScanner(r), result: make(chan error, 1)}
	go func() {
		err := watchJobs(ctx, Streams{Out: w, Err: &x.err}, c, flags, uids)
		w.Close()
		x.result <- err
	}()
	return x
}

// expect reads the next lines of standard output.
func (x *watched) expect(lines ...string) {
	x.t.Helper()
	for _, want := range lines {
		if !x.lines.Scan() {
			x.t.Fatalf("output ended, want %q; stderr: %s", want, x.err.String())
		}
		if got := x.lines.Text(); got != want {
			x.t.Fatalf("output %q, want %q; stderr: %s", got, want, x.err.String())
		}
	}
}

// done waits for the end, and says what it was.
func (x *watched) done(want error) {
	x.t.Helper()
	if x.lines.Scan() {
		x.t.Errorf("output goes on with %q", x.lines.Text())
	}
	if err := <-x.result; !errors.Is(err, want) {
		x.t.Errorf("outcome %v, want %v; stderr: %s", err, want, x.err.String())
	}
}

func (x *watched) said(want string) {
	x.t.Helper()
	if !strings.Contains(x.err.String(), want) {
		x.t.Errorf("standard error has no %q:\n%s", want, x.err.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A log that is cut off by a broken connection goes on at the byte where it
// was, and a job that failed has its own exit code.
func TestWatchGoesOnAfterALostConnection(t *testing.T) {
	f, c := newFarm(t, server.Options{})
	j := newJob(t, f, "x86_64")
	log := j.run("x86_64")
	fmt.Fprint(log, "one\ntw")
	x := watch(t, c, watchFlags{}, j.uid)
	x.expect("one")
	f.door.CloseClientConnections()
	fmt.Fprint(log, "o\nthree\nthe end")
	x.expect("two", "three")
	j.must(log.End())
	j.end("x86_64", &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "it does not compile"})
	x.expect("the end")
	x.done(exitFailed)
	x.said("job 1: hello-1.0-1: building\n")
	x.said("failed")
	x.said("it does not compile")
}

// With several arches each line says whose it is, and another attempt's log
// begins anew.
func TestWatchTellsArchesAndAttemptsApart(t *testing.T) {
	f, c := newFarm(t, server.Options{})
	j := newJob(t, f, "x86_64", "i686")
	log := j.run("x86_64")
	x := watch(t, c, watchFlags{}, j.uid)
	fmt.Fprint(log, "first\n")
	x.expect("[x86_64] first")
	j.must(log.Close())
	_, err := f.db.Back(t.Context(), j.term, time.Now(), j.tries["x86_64"], "b1", plague.FailureLost, "builder b1 is silent", 5)
	j.must(err)
	log = j.run("x86_64")
	fmt.Fprint(log, "second\n")
	x.expect("[x86_64] -- attempt 2 --", "[x86_64] second")
	j.must(log.End())
	j.end("x86_64", nil)
	log = j.run("i686")
	fmt.Fprint(log, "third\n")
	x.expect("[i686] third")
	j.must(log.End())
	j.must(f.db.Kill(t.Context(), time.Now(), "me@example.com", j.uid))
	x.done(exitKilled)
	x.said("builder b1 is silent")
}

// As JSON the events are lines, and nothing else is on standard output.
func TestWatchJSON(t *testing.T) {
	f, c := newFarm(t, server.Options{})
	j := newJob(t, f, "x86_64")
	// The third call waits for news, from the place in the stream that the first gave.
	var calls atomic.Int32
	f.stand(func(next http.Handler) http.Handler {
		if calls.Add(1) == 3 {
			if err := f.db.Kill(f.ctx, time.Now(), "me@example.com", j.uid); err != nil {
				t.Error(err)
			}
		}
		return next
	})
	x := watch(t, c, watchFlags{json: true}, j.uid)
	var killed bool
	for x.lines.Scan() {
		line := x.lines.Text()
		if !strings.HasPrefix(line, "{") || !strings.Contains(line, `"what":`) {
			t.Errorf("%q is no event", line)
		}
		killed = killed || strings.Contains(line, `"to":"killed"`) && strings.Contains(line, `"what":"job"`)
	}
	x.done(exitKilled)
	if !killed || x.err.String() != "" {
		t.Errorf("killed %v, standard error %q", killed, x.err.String())
	}
}

// Whoever interrupts a watcher gets the shell's exit code, and no complaint
// about a connection.
func TestWatchInterrupted(t *testing.T) {
	f, c := newFarm(t, server.Options{})
	j := newJob(t, f, "x86_64")
	ctx, interrupt := context.WithCancel(t.Context())
	var calls atomic.Int32
	f.stand(func(next http.Handler) http.Handler {
		if calls.Add(1) == 3 {
			interrupt()
		}
		return next
	})
	var said bytes.Buffer
	err := c.explain(ctx, watchJobs(ctx, Streams{Out: io.Discard, Err: &said}, c, watchFlags{stateOnly: true}, []plague.JobID{j.uid}))
	if !errors.Is(err, exitInterrupted) {
		t.Errorf("outcome %v, want %v", err, exitInterrupted)
	}
	if got, want := said.String(), "job 1: hello-1.0-1: building\n"; got != want {
		t.Errorf("standard error %q, want %q", got, want)
	}
}
