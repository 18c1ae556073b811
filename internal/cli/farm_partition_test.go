package cli

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/source/sourcetest"
)

// gitOfMakes serves two packages by git, of a Makefile each: makes, whose source package is
// not made before a file is there, and fetches, of so many MiB.
func gitOfMakes(t *testing.T, mib int) (port, config string) {
	t.Helper()
	base := openFolder(t)
	for name, first := range map[string]string{"makes": "until [ -e make ]; do sleep 0.2; done", "fetches": ":"} {
		work := t.TempDir()
		in(t, work, "git", "init", "-q", "-b", "main", ".")
		put(t, work, name+".spec", spec(name, ":"))
		put(t, work, "Makefile", "srpm:\n\t"+first+"\n\trpmbuild --nodeps -bs "+name+".spec\n")
		if name == "fetches" {
			data := make([]byte, mib<<20)
			rand.Read(data)
			put(t, work, "data", string(data))
		}
		in(t, work, "git", "add", ".")
		in(t, work, "git", "commit", "-q", "-m", "x")
		in(t, work, "git", "tag", "v1")
		in(t, work, "git", "clone", "-q", "--bare", work, filepath.Join(base, name+".git"))
	}
	address := sourcetest.Serve(t, "git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--base-path="+base, base)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port, fmt.Sprintf("\n[SCM]\nurl = git://%[1]s/$package.git\nlayout = make\nallow = git://%[1]s/\n", address)
}

// tagged has a package built by its tag v1.
func (f *processFarm) tagged(name, target string) plague.JobID {
	f.t.Helper()
	out, errs, code := f.run("build", "--json", name, "v1", target)
	var answer struct{ UID plague.JobID }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 {
		f.t.Fatalf("build %s v1: exit %d, %v\n%s%s", name, code, err, out, errs)
	}
	return answer.UID
}

// TestPartition: sixty seconds without a packet, which meet builds in all phases, lose none
// of them: one waiting, one fetching its source package, one its BuildRequires, one
// building, one whose results are being fetched; and of those whose source package is made
// of a tag, one fetching the sources and one making it. Only those that fetch from who is
// no part of the farm may need another attempt: dnf and git give up before the minute is over.
func TestPartition(t *testing.T) {
	t.Parallel()
	port, config := gitOfMakes(t, 24)
	f := newNATFarm(t, shape{builders: 1, slots: 5}, func(f *processFarm) { f.addTarget("git", config) }, port)
	builds := f.submit(tinySRPM(t, "builds", gate))
	f.building(builds)
	makes := f.tagged("makes", "lab-git-extras")
	f.phase(makes, plague.ArchRunning, plague.PhaseBuilding)
	gives := f.submit(specSRPM(t, "gives", heavySpec("gives", "until [ -e /builddir/give ]; do sleep 0.2; done", 32)))
	f.building(gives)
	f.line.set(func(l *tunnel) { l.rate = 1 << 20 })
	needs := f.submit(specSRPM(t, "needs", strings.Replace(spec("needs", ":"), "BuildArch:", "BuildRequires: gcc\nBuildArch:", 1)))
	f.phase(needs, plague.ArchRunning, plague.PhasePrepping)
	fetches := f.tagged("fetches", "lab-git-extras")
	f.phase(fetches, plague.ArchRunning, plague.PhaseDownloading)
	f.let("give")
	f.phase(gives, plague.ArchDownloading, "")
	takes := f.submit(heavySRPM(t, "takes", 16))
	f.phase(takes, plague.ArchRunning, plague.PhaseDownloading)
	waits := f.submit(tinySRPM(t, "waits", ":"))
	f.phase(gives, plague.ArchDownloading, "") // still,
	f.phase(needs, plague.ArchRunning, plague.PhasePrepping)
	f.phase(fetches, plague.ArchRunning, plague.PhaseDownloading)
	f.phase(takes, plague.ArchRunning, plague.PhaseDownloading)
	f.phase(waits, plague.ArchQueued, "")

	f.line.set(func(l *tunnel) { l.cut = true })
	<-time.After(60 * time.Second)
	f.says("builder show builder7", "suspended: it does not answer", "dialled:  not in to this server")
	f.line.set(func(l *tunnel) { l.cut, l.rate = false, 0 })
	healed := time.Now()
	f.wait("builder7 to take work", f.takes("builder7"))
	t.Logf("in use again %s after sixty seconds of silence", time.Since(healed).Round(time.Second/10))
	f.did(f.until(gives, plague.JobNeedSign), 1)
	f.did(f.until(takes, plague.JobNeedSign), 1)
	f.did(f.until(needs, plague.JobNeedSign), 1, 2)
	f.did(f.until(waits, plague.JobNeedSign), 1)
	f.did(f.until(fetches, plague.JobNeedSign), 1, 2)
	f.letMake()
	f.did(f.until(makes, plague.JobNeedSign), 1)
	f.let("go")
	f.did(f.until(builds, plague.JobNeedSign), 1)
	f.holds("builds", "gives", "needs", "takes", "waits")
	f.Target = "lab-git-extras"
	f.holds("fetches", "makes")
	f.nothingLeft()
}

// letMake has a Makefile go on that waits for it.
func (f *natFarm) letMake() {
	f.processFarm.t.Helper()
	trees := f.work("roots", "*", "tree")
	if len(trees) != 1 {
		f.processFarm.t.Fatalf("trees of sources: %v", trees)
	}
	if err := os.WriteFile(filepath.Join(trees[0], "make"), nil, 0o644); err != nil {
		f.processFarm.t.Fatal(err)
	}
}
