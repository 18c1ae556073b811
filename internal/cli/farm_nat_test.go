package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/dialin"
	"plague/internal/wire"
)

// natFarm is a farm with one builder that nobody reaches.
type natFarm struct {
	*processFarm
	*nat
	behind *process
}

// newNATFarm has builder7 join from behind NAT; builder1, which the farm reaches, is not
// started. What listens at the further ports is reached over the line, too, and prepare is
// called before anything starts.
func newNATFarm(t *testing.T, s shape, prepare func(*processFarm), further ...string) *natFarm {
	t.Helper()
	f := newProcessFarm(t, s)
	prepare(f)
	ports := slices.Clone(further)
	for _, address := range []string{f.Files, f.Web} {
		ports = append(ports, portOf(t, address))
	}
	target := string(mustRead(t, f.file("server", "targets", f.Target+".cfg")))
	_, distro, _ := strings.Cut(target, "http://127.0.0.1:")
	distro, _, _ = strings.Cut(distro, "/")
	n := newNAT(t, f.site, append(ports, distro)...)
	for _, port := range append(further, distro) {
		n.pass(port)
	}
	if err := f.edit(f.file("server", "server.cfg"), "address = 127.0.0.1\n", "address = 0.0.0.0\nhostname = 127.0.0.1\n"); err != nil {
		t.Fatal(err)
	}
	f.server.start()
	f.sign()
	m := f.machine("builder7")
	if err := f.edit(m.config(), "slots = 1", fmt.Sprintf("slots = %d", s.slots)); err != nil {
		t.Fatal(err)
	}
	join := append(within(n.inside), "plague", "join", "--active", "--config", m.config(), strings.TrimPrefix(f.Web, "https://"), f.newToken("builder7"))
	f.wait("the server", func(ctx context.Context) error {
		_, err := f.client.ListBuilders(ctx)
		return err
	})
	if out, err := exec.CommandContext(t.Context(), "nsenter", join...).CombinedOutput(); err != nil {
		t.Fatalf("join: %v, %s", err, out)
	}
	b := &process{farm: f, name: "builder7", network: n.inside, args: []string{"builder", "-c", m.config()}}
	f.builders = append(f.builders, b)
	b.start()
	f.wait("builder7 to take work", f.takes("builder7"))
	return &natFarm{f, n, b}
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// did checks that a job was published once, each of its arch jobs accepted once, and the
// attempt, one of those, that was accepted.
func (f *natFarm) did(job wire.JobRecord, attempts ...int) {
	f.processFarm.t.Helper()
	all, err := f.client.Events(f.processFarm.t.Context(), wire.EventsFilter{Job: job.Uid, Limit: 1000})
	if err != nil {
		f.processFarm.t.Fatal(err)
	}
	done, published := 0, 0
	var said []string
	for _, e := range all.Events {
		said = append(said, fmt.Sprintf("%s %s→%s %s", e.What, e.From, e.To, e.Text))
		if e.What == "arch_job" && e.To == string(plague.ArchDone) {
			done++
		}
		if e.What == "job" && e.To == string(plague.JobRepoDone) {
			published++
		}
	}
	for _, a := range job.Archjobs {
		if !slices.Contains(attempts, a.Attempt) || done != len(job.Archjobs) || published != 1 {
			f.processFarm.t.Errorf("%s on %s: attempt %d, want %v; %d results accepted, published %d times:\n%s", job.Package, a.Arch, a.Attempt, attempts, done, published, strings.Join(said, "\n"))
		}
	}
}

// holds asks what dnf sees.
func (f *natFarm) holds(packages ...string) {
	f.processFarm.t.Helper()
	got := f.published()
	slices.Sort(got)
	if strings.Join(got, " ") != strings.Join(packages, "-1-1 ")+"-1-1" {
		f.processFarm.t.Errorf("the repository holds %v, want %v", got, packages)
	}
}

// phase waits until an arch job is in a state, and its builder in a phase.
func (f *natFarm) phase(uid plague.JobID, state plague.ArchState, phase plague.Phase) {
	f.processFarm.t.Helper()
	f.wait(fmt.Sprintf("job %d to be %s, %s", uid, state, phase), func(ctx context.Context) error {
		j, err := f.client.Job(ctx, uid)
		if err == nil && (len(j.Archjobs) != 1 || j.Archjobs[0].Status != string(state) || phase != "" && j.Archjobs[0].BuilderStatus != string(phase)) {
			err = fmt.Errorf("%s %+v", j.Status, j.Archjobs)
		}
		return err
	})
}

// let has the builds go on that wait for a file.
func (f *natFarm) let(name string) {
	f.processFarm.t.Helper()
	for _, dir := range f.work("roots", "*", "own", "builddir") {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			f.processFarm.t.Fatal(err)
		}
	}
}

// heavySpec is spec with so many MiB in the package, which cannot be compressed.
func heavySpec(name, shell string, mib int) string {
	text := strings.Replace(spec(name, shell), "%files\n", fmt.Sprintf("%%files\n%%{_datadir}/%s.data\n", name), 1)
	return strings.Replace(text, "\n%files", fmt.Sprintf("head -c %dM /dev/urandom >%%{buildroot}%%{_datadir}/%s.data\n\n%%files", mib, name), 1)
}

// heavySRPM is a source package of so many MiB.
func heavySRPM(t *testing.T, name string, mib int) string {
	t.Helper()
	top := t.TempDir()
	data := make([]byte, mib<<20)
	rand.Read(data)
	text := strings.Replace(spec(name, ":"), "BuildArch:", "Source0: data\nBuildArch:", 1)
	for file, content := range map[string][]byte{"data": data, name + ".spec": []byte(text)} {
		if err := os.WriteFile(filepath.Join(top, file), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, "rpmbuild", "--quiet", "-bs", "--nodeps", "--define", "_topdir "+top, "--define", "_sourcedir "+top, "--define", "dist %{nil}", filepath.Join(top, name+".spec"))
	made, err := filepath.Glob(filepath.Join(top, "SRPMS", name+"-*.src.rpm"))
	if err != nil || len(made) != 1 {
		t.Fatalf("rpmbuild made %v, %v", made, err)
	}
	return made[0]
}

// TestBehindNAT: a builder to which there is no way builds and publishes, over a line of
// 100 ms that loses one packet in a hundred, too; and one whose connections died without
// a word is back, with what it was building, within the stated time.
func TestBehindNAT(t *testing.T) {
	t.Parallel()
	f := newNATFarm(t, shape{builders: 1, slots: 1}, func(*processFarm) {})
	for _, file := range []string{"tcp", "tcp6"} {
		for line := range strings.Lines(string(mustRead(t, fmt.Sprintf("/proc/%d/net/%s", f.behind.daemon(), file)))) {
			if fields := strings.Fields(line); len(fields) > 3 && fields[3] == "0A" { // TCP_LISTEN
				t.Errorf("something listens behind the NAT: %s", line)
			}
		}
	}
	router := strings.TrimSuffix(f.outside, "1") + "2"
	f.says("builder show builder7", "dialled:  in from "+router+":")
	f.did(f.until(f.submit(tinySRPM(t, "near", ":")), plague.JobNeedSign), 1)

	f.line.set(func(l *tunnel) { l.delay, l.loss = 50*time.Millisecond, 0.01 })
	began := time.Now()
	far := f.until(f.submit(specSRPM(t, "far", heavySpec("far", ":", 8))), plague.JobNeedSign)
	f.did(far, 1)
	f.line.set(func(l *tunnel) {
		t.Logf("8 MiB of results over 100 ms and 1 %%: %s from submit to the repository, %d packets lost", time.Since(began).Round(time.Second), l.lost)
		if l.lost == 0 {
			t.Error("no packet was lost")
		}
		l.delay, l.loss = 0, 0
	})

	uid := f.submit(tinySRPM(t, "half", gate))
	f.building(uid)
	w := f.watch(uid)
	w.until("tick 3\n")
	before, err := f.builder(t.Context(), "builder7")
	if err != nil {
		t.Fatal(err)
	}
	f.line.swallow()
	swallowed, seen := time.Now(), w.said()
	f.wait("builder7 to dial in again", func(ctx context.Context) error {
		b, err := f.builder(ctx, "builder7")
		if err == nil && (b.DialledAt == 0 || b.DialledFrom == before.DialledFrom) {
			err = fmt.Errorf("dialled in from %s", b.DialledFrom)
		}
		return err
	})
	took := time.Since(swallowed)
	t.Logf("a half-open connection was replaced after %s", took.Round(time.Second/10))
	if took > dialin.Noticed+5*time.Second {
		t.Errorf("that is more than %s", dialin.Noticed)
	}
	f.wait("the live log to go on", func(context.Context) error {
		if now := w.said(); len(now) > len(seen)+len("tick 10\n")*2 {
			return nil
		}
		return errors.New(w.said())
	})
	f.openGates()
	f.did(f.until(uid, plague.JobNeedSign), 1)
	w.end(0)
	f.holds("far", "half", "near")
	f.nothingLeft()
}

// TestPartitionPastLease: what a builder held that was silent for longer than its lease is
// built elsewhere, and what it built meanwhile is not taken.
func TestPartitionPastLease(t *testing.T) {
	t.Parallel()
	f := newNATFarm(t, shape{builders: 1, slots: 2, lease: 30 * time.Second}, func(*processFarm) {})
	slow := f.submit(tinySRPM(t, "slow", gate))
	ends := f.submit(tinySRPM(t, "ends", "until [ -e /builddir/end ]; do sleep 0.2; done"))
	f.building(slow)
	f.building(ends)
	f.line.set(func(l *tunnel) { l.cut = true })
	f.let("end") // it ends behind the NAT, and nobody hears of it
	f.builders[0].start()
	for _, uid := range []plague.JobID{slow, ends} {
		f.wait(fmt.Sprintf("job %d to be built elsewhere", uid), func(ctx context.Context) error {
			j, err := f.client.Job(ctx, uid)
			if err == nil && (j.Archjobs[0].BuilderAddr != "builder1" || j.Archjobs[0].BuilderStatus != string(plague.PhaseBuilding)) {
				err = fmt.Errorf("%+v", j.Archjobs)
			}
			return err
		})
	}
	f.line.set(func(l *tunnel) { l.cut = false })
	f.wait("builder7 to be back", f.takes("builder7"))
	f.wait("builder7 to have forgotten", func(context.Context) error {
		if left, _ := filepath.Glob(f.file("machines", "builder7", "work", "daemon", "attempts", "*")); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	f.let("end")
	f.did(f.until(ends, plague.JobNeedSign), 2)
	f.let("go")
	f.did(f.until(slow, plague.JobNeedSign), 2)
	f.holds("ends", "slow")
	f.nothingLeft()
}
