package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plague"
	"plague/internal/wire"
)

// archSpec is a package that says in its build.log what it takes its machine for, and
// has a noarch subpackage. head goes before its description, doc into that of the
// subpackage, shell into %build.
func archSpec(name, head, doc, shell string) string {
	return fmt.Sprintf(`%%global debug_package %%{nil}
Name: %[1]s
Version: 1
Release: 1
Summary: A package of the tests
License: MIT
%[2]s

%%description
A package of the tests.

%%package doc
Summary: Its pages
BuildArch: noarch
%[3]s
%%description doc
Its pages.

%%build
echo "machine $(uname -m) target %%{_target_cpu} arch %%{_arch}"
%[4]s

%%install
install -d %%{buildroot}%%{_datadir}/%[1]s/doc
uname -m >%%{buildroot}%%{_datadir}/%[1]s/machine
date >%%{buildroot}%%{_datadir}/%[1]s/doc/page

%%files
%%{_datadir}/%[1]s/machine
%%files doc
%%{_datadir}/%[1]s/doc/page
`, name, head, doc, shell)
}

// specSRPM makes the source package of a spec's text.
func specSRPM(t *testing.T, name, text string) string {
	t.Helper()
	top := t.TempDir()
	file := filepath.Join(top, name+".spec")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "rpmbuild", "--quiet", "-bs", "--nodeps", "--define", "_topdir "+top, "--define", "dist %{nil}", file)
	made, err := filepath.Glob(filepath.Join(top, "SRPMS", name+"-*.src.rpm"))
	if err != nil || len(made) != 1 {
		t.Fatalf("rpmbuild made %v, %v", made, err)
	}
	return made[0]
}

// publishedFor asks dnf for the RPMs in the repository of an arch, with their arch.
func (f *processFarm) publishedFor(arch string) []string {
	f.t.Helper()
	out, err := exec.CommandContext(f.t.Context(), "dnf", "-q", "--forcearch="+arch, "--setopt=reposdir=/dev/null", "--setopt=plugins=0",
		"--setopt=gpgcheck=0", "--setopt=cachedir="+f.t.TempDir(), fmt.Sprintf("--repofrompath=farm,%s/repos/%s/%s/", f.Web, f.Target, arch),
		"--setopt=farm.sslcacert="+f.CA, "repoquery", "--available", "--qf", "%{name}.%{arch}").Output()
	if err != nil {
		f.t.Fatalf("dnf repoquery for %s: %v", arch, err)
	}
	return slices.Sorted(slices.Values(strings.Fields(string(out))))
}

// newArchFarm is a farm for x86_64 and i686, with a builder for each, and i386 as a
// sub-arch.
func newArchFarm(t *testing.T) *processFarm {
	t.Helper()
	if nativeArches()[0] != "x86_64" {
		t.Skip("these arches need a machine that is x86_64")
	}
	f := newProcessFarm(t, shape{builders: 2, slots: 2, arches: []string{"x86_64", "i686"}})
	for file, edit := range map[string][2]string{
		f.file("builder", "builder1.cfg"):            {"arches = x86_64 i686", "arches = x86_64"},
		f.file("builder", "builder2.cfg"):            {"arches = x86_64 i686", "arches = i686 i386"},
		f.file("server", "targets", f.Target+".cfg"): {"base_arches = x86_64 i686", "base_arches = x86_64 i686\noptional_arches = i386 noarch"},
	} {
		if err := f.edit(file, edit[0], edit[1]); err != nil {
			t.Fatal(err)
		}
	}
	f.start()
	return f
}

// archesOf are the arches of a job's arch jobs.
func archesOf(j wire.JobRecord) string {
	var all []string
	for _, a := range j.Archjobs {
		all = append(all, a.Arch)
	}
	return strings.Join(all, " ")
}

// TestFarmOfArches builds for x86_64 and i686 on this machine: what succeeds for all
// arches is in all repositories, and anything else in none.
func TestFarmOfArches(t *testing.T) {
	t.Parallel()
	f := newArchFarm(t)
	build := func(name, head, doc, shell string) plague.JobID {
		return f.submit(specSRPM(t, name, archSpec(name, head, doc, shell)))
	}
	failing := map[plague.JobID]string{
		build("half", "", "", "test $(uname -m) = x86_64"):                         "i686: %build failed",
		build("unlike", "", "%ifarch i686\nRequires: bash\n%endif", ""):            "unlike-doc-1-1.noarch.rpm is not the same for",
		build("nowhere", "ExclusiveArch: ppc64le", "", ""):                         "the spec has ExclusiveArch: ppc64le, and the target's arches are x86_64 i686",
		build("other", "BuildArch: noarch\nExcludeArch: x86_64 i686", "", "false"): "ExcludeArch: x86_64 i686",
	}
	for _, tt := range []struct {
		name, head string
		arches     string
		machines   map[string]string // what the build of an arch says
	}{
		{"both", "", "x86_64 i686", map[string]string{"x86_64": "machine x86_64 target x86_64 arch x86_64", "i686": "machine i686 target i686 arch i386"}},
		{"one", "ExcludeArch: x86_64", "i686", map[string]string{"i686": "machine i686 target i686 arch i386"}},
		{"all32", "ExclusiveArch: %{ix86}", "i686 i386", map[string]string{"i686": "machine i686 target i686 ", "i386": "machine i686 target i386 arch i386"}},
		{"pages", "BuildArch: noarch", "noarch", nil},
		{"pages32", "BuildArch: noarch\nExcludeArch: x86_64", "noarch", map[string]string{"noarch": "machine i686 target noarch"}},
		{"kernel", "ExclusiveArch: noarch x86_64", "x86_64 noarch", map[string]string{"x86_64": "machine x86_64 target x86_64", "noarch": "target noarch arch noarch"}},
	} {
		uid := build(tt.name, tt.head, "", "")
		job := f.until(uid, plague.JobNeedSign)
		if archesOf(job) != tt.arches {
			t.Errorf("%s is built for %s, want %s", tt.name, archesOf(job), tt.arches)
		}
		for arch, says := range tt.machines {
			if log := string(mustRead(t, f.file("results", job.Results, arch, "build.log"))); !strings.Contains(log, says) {
				t.Errorf("%s for %s does not say %q:\n%s", tt.name, arch, says, log[:min(len(log), 2000)])
			}
		}
	}
	for uid, why := range failing {
		if job := f.until(uid, plague.JobFailed); !strings.Contains(job.Reason, why) {
			t.Errorf("%s failed because %q, want %q", job.Package, job.Reason, why)
		} else if job.Package == "unlike" && !strings.Contains(job.Reason, "only for i686: requires bash") {
			t.Errorf("the difference is not shown: %s", job.Reason)
		}
	}
	for arch, want := range map[string]string{
		"x86_64": "all32-doc.noarch both-doc.noarch both.x86_64 kernel-doc.noarch kernel.noarch kernel.x86_64 one-doc.noarch pages-doc.noarch pages.noarch " +
			"pages32-doc.noarch pages32.noarch",
		"i686": "all32-doc.noarch all32.i386 all32.i686 both-doc.noarch both.i686 kernel-doc.noarch kernel.noarch one-doc.noarch one.i686 pages-doc.noarch " +
			"pages.noarch pages32-doc.noarch pages32.noarch",
	} {
		if got := strings.Join(f.publishedFor(arch), " "); got != want {
			t.Errorf("the repository for %s holds\n%s, want\n%s", arch, got, want)
		}
	}
	f.showsArches(failing)
}

// showsArches: detail says why each arch is built or not, also of a job that none is
// left for.
func (f *processFarm) showsArches(jobs map[plague.JobID]string) {
	f.t.Helper()
	for uid, why := range jobs {
		if !strings.Contains(why, "ppc64le") {
			continue
		}
		out, _, _ := f.run("detail", fmt.Sprint(uid))
		for _, line := range []string{"  arches:    x86_64 not built: ExclusiveArch does not list it\n",
			"             i386 not built: optional arch that the package does not ask for\n"} {
			if !strings.Contains(out, line) {
				f.t.Errorf("detail does not say %q:\n%s", line, out)
			}
		}
		var job struct {
			ArchRules []wire.ArchRule `json:"arch_rules"`
		}
		out, _, _ = f.run("detail", "--json", fmt.Sprint(uid))
		if err := json.Unmarshal([]byte(out), &job); err != nil || len(job.ArchRules) != 4 || job.ArchRules[0].Arch != "x86_64" || job.ArchRules[0].Built {
			f.t.Errorf("--json says %+v, %v\n%s", job, err, out)
		}
	}
}
