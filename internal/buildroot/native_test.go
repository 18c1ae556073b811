package buildroot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/demotest"
)

// TestCache: the base is made once, of what dnf fetched as the user of downloads.
func TestCache(t *testing.T) {
	f := newFarm(t)
	f.coldCache(t)
	for i := range 2 {
		r := f.good(t, f.spec(t, "tree"))
		if made := strings.Contains(r.job.String(), "made in"); made != (i == 0) {
			t.Errorf("build %d: base layer made: %v\n%s", i, made, r.job.String())
		}
	}
	fetched, err := filepath.Glob(filepath.Join(f.native.Cache, "dnf-*", "*"))
	if err != nil || len(fetched) == 0 {
		t.Fatalf("dnf's cache holds %v, %v", fetched, err)
	}
	for _, name := range fetched {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != fetcher || st.Gid != fetcher {
			t.Errorf("%s was made by %d:%d: dnf did not run as the user of downloads", name, st.Uid, st.Gid)
		}
	}
}

func TestNativeFailures(t *testing.T) {
	f := newFarm(t)
	strange := repository(t, "strange", map[string]string{"anything": "BuildArch: noarch\n%description\nNothing.\n%files\n"})
	strange.CACert = "" // nobody vouches for it
	f.fails(t, []failing{
		{name: "odd macro", srpm: "tree", kind: plague.FailureInfrastructure, phase: plague.PhaseBuilding,
			change: func(s *buildroot.Spec) { s.Macros = map[string]string{"a b": "c"} }, says: []string{`"a b"`}},
		{name: "no group", srpm: "tree", kind: plague.FailureInfrastructure, phase: plague.PhasePrepping,
			change: func(s *buildroot.Spec) { s.Base = []string{"no-such-package"} }, says: []string{"base layer", "no-such-package"}},
		{name: "changed repository", srpm: "tree", kind: plague.FailureInfrastructure, phase: plague.PhasePrepping,
			change: func(s *buildroot.Spec) { s.Repos[0].RepomdSHA256 = strings.Repeat("ab", 32) },
			says:   []string{f.distro.RepomdSHA256, strings.Repeat("ab", 32), "lab"}},
		{name: "no rpmbuild", srpm: "tree", kind: plague.FailureInfrastructure, phase: plague.PhasePrepping,
			change: func(s *buildroot.Spec) { s.Base = []string{"bash"} }, says: []string{"base layer", "rpm"}},
		{name: "stranger's server", srpm: "tree", kind: plague.FailureInfrastructure, phase: plague.PhasePrepping,
			change: func(s *buildroot.Spec) { s.Repos = append(s.Repos, strange) }, says: []string{"Failed to download metadata"}},
		{name: "odd repository", srpm: "tree", kind: plague.FailureInfrastructure, phase: plague.PhasePrepping,
			change: func(s *buildroot.Spec) { s.Repos[0].URL += "\nproxy=http://evil" }, says: []string{"want a name, and a URL"}},
	})
}

// TestGeneratedBuildRequires: asked for in two rounds, the second of which only
// shows once the first is there.
func TestGeneratedBuildRequires(t *testing.T) {
	f := newFarm(t)
	s := f.spec(t, source(t, "dynamic", `BuildArch: noarch
BuildRequires: make
%description
Asks for more, twice.
%generate_buildrequires
echo bison
if test -x /usr/bin/bison; then echo flex; fi
%build
bison --version
flex --version
%install
mkdir -p %{buildroot}/usr/share/dynamic
%files
/usr/share/dynamic
`))
	r := f.good(t, s)
	if len(r.RPMs) != 1 || !strings.Contains(r.RPMs[0], "dynamic-1-1") {
		t.Errorf("it made %q", r.RPMs)
	}
	if want := []string{"prepping", "building", "prepping", "building", "prepping", "building", "cleanup"}; !slices.Equal(r.phases, want) {
		t.Errorf("phases are %q", r.phases)
	}
	s.SRPM = source(t, "insatiable", "BuildArch: noarch\n%description\nNever content.\n%generate_buildrequires\necho 'nothing-has-this'\n%files\n")
	r = f.build(t.Context(), t, s)
	if r.Failure == nil || r.Failure.Kind != plague.FailurePackage || !strings.Contains(r.Failure.Message, "nothing-has-this") {
		t.Errorf("unmet generated BuildRequires: %+v", r.Failure)
	}
}

// TestHostileScriptlet installs a BuildRequires whose scriptlet is root and tries
// to leave the sandbox; what it saw is in the root.log.
func TestHostileScriptlet(t *testing.T) {
	f := newFarm(t)
	marker := filepath.Join(t.TempDir(), "owned")
	own := repository(t, "own", map[string]string{"hostile": `BuildArch: noarch
%description
Wants out.
%post
exec 2>&1
mkdir -p ` + filepath.Dir(marker) + ` && echo x > ` + marker + `
mount -t tmpfs x /mnt && echo ESCAPE mount
mknod /tmp/disk b 254 0 && echo ESCAPE mknod
v=$(cat /proc/sys/kernel/panic); echo $v > /proc/sys/kernel/panic && echo ESCAPE sysctl
(echo > /dev/tcp/127.0.0.1/` + port(f.distro.URL) + `) && echo ESCAPE network
test -e /proc/1/root/etc/passwd && echo ESCAPE proc
chroot /proc/1/root /bin/true && echo ESCAPE chroot
unshare -U true && echo ESCAPE userns
id -u > /hostile-ran
echo seen by root.log
:
%files
`})
	s := f.spec(t, source(t, "innocent", `BuildArch: noarch
BuildRequires: hostile
%description
Has a bad friend.
%build
cat /hostile-ran
%install
mkdir -p %{buildroot}/usr/share/innocent
%files
/usr/share/innocent
`))
	own.Own = true
	s.Repos = append(s.Repos, own)
	r := f.good(t, s)
	log := r.root.String()
	if !strings.Contains(log, "seen by root.log") {
		t.Errorf("the scriptlet did not run, or was not heard:\n%s", end(log))
	}
	if strings.Contains(log, "ESCAPE") {
		t.Errorf("it got out:\n%s", end(log))
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("it wrote to the machine")
	}
	if !strings.Contains(r.build.String(), "\n0\n") {
		t.Error("what it left in the buildroot is not seen by the build")
	}
	// Nothing of it is in the layers that other builds use.
	found, err := exec.Command("find", f.native.Cache+"/layers/", "-name", "hostile-ran").Output()
	if err != nil || len(found) > 0 {
		t.Errorf("found %s, %v", found, err)
	}
}

func port(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

// TestOwnRepositoryUpdatesTheBase: what was built here comes before the
// distribution's, in every buildroot from the next snapshot on.
func TestOwnRepositoryUpdatesTheBase(t *testing.T) {
	f := newFarm(t)
	own := repository(t, "own", map[string]string{"lab-release": `Epoch: 7
BuildArch: noarch
Provides: system-release = 13
%description
Newer than the base.
%install
mkdir -p %{buildroot}/etc/rpm
printf '%%%%dist .newer\n%%%%_dbpath /var/lib/rpm\n' > %{buildroot}/etc/rpm/macros.lab
%files
/etc/rpm/macros.lab
`})
	s := f.spec(t, source(t, "asks", `BuildArch: noarch
BuildRequires: bison
%description
Asks.
%build
rpm -q --qf '%{epoch}:' lab-release; rpm --eval %%dist
rpm -qa --qf 'has %%{name}-%%{version}-%%{release}.%%{arch}\n' | sort
%files
`))
	s.Macros = nil
	own.Own = true
	s.Repos = append(s.Repos, own)
	r := f.good(t, s)
	if log := r.build.String(); !strings.Contains(log, "\n7:") || !strings.Contains(log, "\n.newer\n") {
		t.Errorf("the base was not updated:\n%s\n%s", r.job.String(), end(r.build.String()))
	}
	r.tellsInstalled(t)
	r = f.good(t, s)
	r.tellsInstalled(t)
	if strings.Contains(r.job.String(), "made in") {
		t.Errorf("layers are made twice:\n%s", r.job.String())
	}
}

// tellsInstalled holds the list beside the results against what the build saw: base,
// what was updated, BuildRequires.
func (r *run) tellsInstalled(t *testing.T) {
	t.Helper()
	told, err := os.ReadFile(filepath.Join(r.out, buildroot.InstalledLog))
	if err != nil {
		t.Fatal(err)
	}
	var saw strings.Builder
	for line := range strings.Lines(r.build.String()) {
		if name, found := strings.CutPrefix(line, "has "); found {
			saw.WriteString(name)
		}
	}
	if string(told) != saw.String() || !strings.Contains(saw.String(), "bison-") {
		t.Errorf("%s says\n%s\nand in the buildroot were\n%s", buildroot.InstalledLog, told, saw.String())
	}
}

// TestUnpinned follows a repository that nobody pinned.
func TestUnpinned(t *testing.T) {
	f := newFarm(t)
	s := f.spec(t, "tree")
	s.Repos[0].RepomdSHA256 = ""
	f.good(t, s)
	if r := f.good(t, s); strings.Contains(r.job.String(), "made in") {
		t.Errorf("the base is made anew though nothing has changed:\n%s", r.job.String())
	}
}

// TestSecondArch builds for the 32-bit form of this machine.
func TestSecondArch(t *testing.T) {
	f := newFarm(t)
	f.distro = serve(t, "lab", filepath.Join(demotest.Fill(t, "mkdistro", "distro", "--arch", "i686"), "i686"))
	s := f.spec(t, source(t, "small", `%global debug_package %{nil}
BuildRequires: gcc
%description
Says what it is built for.
%build
uname -m
echo 'int main(void) { return sizeof(void *) == 4 ? 0 : 1; }' > small.c
gcc -o small small.c
%install
install -D small %{buildroot}/usr/bin/small
%check
%{buildroot}/usr/bin/small
%files
/usr/bin/small
`))
	s.Arch = "i686"
	r := f.good(t, s)
	if !slices.Equal(r.RPMs, []string{"small-1-1.i686.rpm"}) || !strings.Contains(r.build.String(), "\ni686\n") {
		t.Errorf("it made %q\n%s", r.RPMs, end(r.build.String()))
	}
}

// TestTwoSlots builds at once with a cold cache: one makes the base, the other waits.
func TestTwoSlots(t *testing.T) {
	f := newFarm(t)
	f.coldCache(t)
	runs := make(chan *run, 2)
	for i := range 2 {
		s := f.spec(t, "tree")
		s.ID, s.UID, s.GID = []string{"1-1", "2-1"}[i], slot+i, slot+i
		go func() {
			r := &run{out: t.TempDir()}
			r.Result, r.err = f.native.Build(t.Context(), s, buildroot.Log{Root: &r.root, Build: &r.build, Job: &r.job}, r.out, func(string) {})
			runs <- r
		}()
	}
	made := 0
	for range 2 {
		r := <-runs
		if r.err != nil || r.Failure != nil || len(r.RPMs) != 1 {
			t.Errorf("%v, %+v, %s", r.err, r.Failure, end(r.root.String()))
		}
		made += strings.Count(r.job.String(), "base layer") * strings.Count(r.job.String(), "made in")
	}
	if made < 1 || made > 2 { // the one that waited says how long it took as well
		t.Errorf("the base was made %d times", made)
	}
}

func TestSweep(t *testing.T) {
	f := newFarm(t)
	f.coldCache(t)
	for _, dir := range []string{"work/1-1/own/builddir", "work/2-1", "cache/layers/.new-0123", "cache/dnf-1/old", "cache/dnf-1/new", "cache/layers/0123"} {
		if err := os.MkdirAll(filepath.Join(f.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-30 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(f.dir, "cache/dnf-1/old"), long, long); err != nil {
		t.Fatal(err)
	}
	if err := f.native.Sweep([]string{"2-1"}); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{"work/1-1": false, "work/2-1": true, "cache/layers/.new-0123": false, "cache/layers/0123": true,
		"cache/dnf-1/old": false, "cache/dnf-1/new": true} {
		if _, err := os.Stat(filepath.Join(f.dir, dir)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, want)
		}
	}
}
