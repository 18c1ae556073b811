package source

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/sandbox"
)

const spec = `Name: tree
Version: 2.1
Release: 1%{?dist}
Summary: A package of the tests
License: MIT
Source0: tree.txt
BuildRequires: what-nobody-has
%description
A package.
`

// makefile is what Makefile.common of 2005 comes to.
const makefile = `srpm:
	rpmbuild --define "_sourcedir $(CURDIR)" --define "_specdir $(CURDIR)" --define "_srcrpmdir $(CURDIR)" --nodeps -bs tree.spec
`

// made is what came of one run of a Maker.
type made struct {
	SRPM
	log string
	out string
	err error
}

// pack has a tree packed, with this machine's programs as the root folder.
func pack(t *testing.T, c Config, files map[string]string, change ...func(*Maker)) made {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("sandboxes need root")
	}
	need(t, "rpmbuild", "make")
	c.Kind, c.URL = Git, farm
	p, err := c.Plan(Request{"tree", "v1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tree, out := filepath.Join(dir, "tree"), filepath.Join(dir, "out")
	write(t, tree, files)
	layer := filepath.Join(dir, "layer")
	binds, err := sandbox.HostTools(layer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m := Maker{Sandbox: sandbox.Native{}, Layers: []string{layer}, Binds: binds, Work: filepath.Join(dir, "work"), UID: slot, GID: slot,
		Macros: map[string]string{"dist": ".lab12"}, Log: &log}
	for _, f := range change {
		f(&m)
	}
	r := made{out: out}
	r.SRPM, r.err = m.SRPM(t.Context(), p, tree, out)
	r.log = log.String()
	if _, err := os.Lstat(m.Work); err == nil {
		t.Error("the work folder is left")
	}
	if left, err := os.ReadDir(out); err != nil || r.err != nil && len(left) > 0 {
		t.Errorf("%v, %v came out", left, err)
	}
	return r
}

func TestSRPM(t *testing.T) {
	plain := map[string]string{"tree.spec": spec, "tree.txt": "text\n"}
	below := func(dir string) map[string]string {
		return map[string]string{dir + "/tree.spec": spec, dir + "/tree.txt": "text\n"}
	}
	making := below("devel")
	making["devel/Makefile"] = "include ../common/Makefile.common\n"
	making["common/Makefile.common"] = makefile
	quiet := maps.Clone(making)
	quiet["common/Makefile.common"] = "srpm:\n\trpmbuild --nodeps -bs tree.spec\n" // folders and dist from the target's macros
	other := map[string]string{"other.spec": spec, "tree.txt": "text\n"}
	for name, tt := range map[string]struct {
		conf  Config
		files map[string]string
		nvr   string
	}{
		"plain":        {Config{Layout: Plain}, plain, "tree-2.1-1.lab12"},
		"dist-git":     {Config{}, plain, "tree-2.1-1.lab12"},
		"another name": {Config{}, other, "tree-2.1-1.lab12"},
		"a branch":     {Config{Branch: "f/40"}, below("f/40"), "tree-2.1-1.lab12"},
		"make":         {Config{Layout: Make, Branch: "devel"}, making, "tree-2.1-1.lab12"},
		"quiet make":   {Config{Layout: Make, Branch: "devel"}, quiet, "tree-2.1-1.lab12"},
	} {
		t.Run(name, func(t *testing.T) {
			r := pack(t, tt.conf, tt.files)
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.log)
			}
			data, err := os.ReadFile(filepath.Join(r.out, r.Name))
			if err != nil || r.Digest != fmt.Sprintf("%x", sha256.Sum256(data)) || r.Size != int64(len(data)) {
				t.Errorf("%+v, %v", r.Artifact, err)
			}
			if r.NEVRA.NVR() != tt.nvr || r.Name != tt.nvr+".src.rpm" {
				t.Errorf("got %v as %s", r.NEVRA, r.Name)
			}
			if got := command(t, "", "rpm", "-qpl", filepath.Join(r.out, r.Name)); !strings.HasSuffix(got, "tree.txt\n") {
				t.Errorf("it holds %q", got)
			}
		})
	}
}

// What the package's code does in its sandbox is no way to another package, to
// a file of the machine, or to the network.
func TestSRPMRefuses(t *testing.T) {
	making := func(script string) map[string]string {
		return map[string]string{"Makefile": "srpm:\n\t" + strings.ReplaceAll(script, "\n", "\n\t") + "\n", "tree.spec": spec, "tree.txt": "text\n"}
	}
	const build = "rpmbuild --define '_srcrpmdir .' --nodeps -bs tree.spec"
	make := Config{Layout: Make}
	for name, tt := range map[string]struct {
		conf  Config
		files map[string]string
		want  string
	}{
		"no branch":            {Config{Branch: "FC-4"}, map[string]string{"devel/tree.spec": spec}, "could not find checkout directory"},
		"a file as a branch":   {Config{Branch: "devel"}, map[string]string{"devel": ""}, "could not find checkout directory"},
		"no spec":              {Config{}, map[string]string{"README": ""}, "0 spec files"},
		"two specs":            {Config{}, map[string]string{"a.spec": spec, "b.spec": spec}, "2 spec files"},
		"another package":      {Config{}, map[string]string{"tree.spec": strings.ReplaceAll(spec, "Name: tree", "Name: bush"), "tree.txt": ""}, `package "bush"`},
		"a source missing":     {Config{}, map[string]string{"tree.spec": spec}, "tree.txt"},
		"a spec of nonsense":   {Config{}, map[string]string{"tree.spec": "nonsense\n"}, "rpmbuild failed"},
		"no target srpm":       {make, map[string]string{"Makefile": "all:\n"}, "make failed"},
		"nothing made":         {make, making("true"), "0 source packages"},
		"two made":             {make, making(build + "\ncp tree-*.src.rpm bush-1-1.src.rpm"), "2 source packages"},
		"one in each folder":   {make, making(build + "\n" + strings.ReplaceAll(build, "'_srcrpmdir .'", "'x y'")), "2 source packages"},
		"one that was there":   {make, map[string]string{"Makefile": "srpm:\n", "tree-1-1.src.rpm": "old"}, "a source package of its own"},
		"no RPM":               {make, making("echo x >tree-1-1.src.rpm"), "cannot be read"},
		"half an RPM":          {make, making(build + "\ntruncate -s -9 tree-2.1-1.lab12.src.rpm"), "cannot be read"},
		"a false name":         {make, making(build + "\nmv tree-2.1-1.lab12.src.rpm tree-9-9.src.rpm"), "of that name"},
		"a name of none":       {make, making(build + "\nmv tree-2.1-1.lab12.src.rpm x.src.rpm"), "x.src.rpm"},
		"a link out":           {make, making("ln -s /etc/shadow tree-1-1.src.rpm"), "is no file"},
		"a pipe":               {make, making("mkfifo tree-1-1.src.rpm"), "is no file"},
		"a folder":             {make, making("mkdir tree-1-1.src.rpm"), "is no file"},
		"the folder as a link": {make, making("rm -r ../.srpms\nln -s /etc ../.srpms"), "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			r := pack(t, tt.conf, tt.files)
			if r.err == nil || !strings.Contains(r.err.Error(), tt.want) {
				t.Fatalf("got %v, want %q\n%s", r.err, tt.want, r.log)
			}
			if Failure(r.err, plague.PhaseBuilding).Kind != plague.FailurePackage {
				t.Errorf("%v is not the package's", r.err)
			}
		})
	}
}

// A spec is a program: what %(…) sees is the sandbox.
func TestSRPMAlone(t *testing.T) {
	probe := `%global seen %(id -u; ls /sys/class/net; cat /proc/net/route | wc -l; ls -A /root | wc -l; ls -d /home /work 2>/dev/null | wc -l; (echo >/dev/tcp/127.0.0.1/80) 2>&1 | wc -l)
%{echo:SEEN:%{seen}}
`
	r := pack(t, Config{}, map[string]string{"tree.spec": probe + spec, "tree.txt": ""})
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.log)
	}
	if !strings.Contains(r.log, fmt.Sprintf("SEEN:%d\nlo\n1\n0\n0\n1\n", slot)) {
		t.Errorf("it sees:\n%s", r.log)
	}
}

func TestSRPMLimits(t *testing.T) {
	endless := map[string]string{"Makefile": "srpm:\n\tsleep 1000\n"}
	r := pack(t, Config{Layout: Make}, endless, func(m *Maker) { m.Limits.Wall = 300 * time.Millisecond })
	if r.err == nil || !strings.Contains(r.err.Error(), "time-out") || Failure(r.err, "").Kind != plague.FailurePackage {
		t.Errorf("got %v", r.err)
	}
	filling := map[string]string{"Makefile": "srpm:\n\tfor i in 1 2 3 4 5 6 7 8 9; do head -c 1000000 /dev/zero >$$i; done; sleep 1000\n"}
	r = pack(t, Config{Layout: Make, Limits: Limits{Bytes: 1 << 20}}, filling)
	if r.err == nil || !strings.Contains(r.err.Error(), "more than 4194304 bytes") || Failure(r.err, "").Kind != plague.FailurePackage {
		t.Errorf("got %v\n%s", r.err, r.log)
	}
	r = pack(t, Config{}, map[string]string{"tree.spec": spec}, func(m *Maker) { m.Binds, m.Layers = nil, []string{t.TempDir()} })
	if r.err == nil || Failure(r.err, "").Kind != plague.FailureInfrastructure {
		t.Errorf("a root folder without rpmbuild: %v", r.err)
	}
}
