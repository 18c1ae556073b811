package cli

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague/internal/demotest"
	"plague/internal/pki"
)

// processFarm is a farm as `plague up` makes it, with any number of builders,
// whose processes the test starts, kills and starts again.
type processFarm struct {
	*farm
	t        *testing.T
	site     site
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
	arches   []string          // base arches of the target; default this machine's own
	workDirs map[string]string // of builders that shall not have theirs below the farm's folder
}

// newProcessFarm makes a farm; nothing of it runs yet.
func newProcessFarm(t *testing.T, s shape) *processFarm {
	t.Helper()
	if testing.Short() {
		t.Skip("real builds take their time")
	}
	if s.arches == nil {
		s.arches = nativeArches()[:1]
	}
	distro := serveDistros(t, s.arches)
	site := newSite(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the farm's accounts pass through
		t.Fatal(err)
	}
	u := upFlags{dir: filepath.Join(dir, "farm"), base: []string{"lab=" + distro}, distro: "lab", target: "12", repo: "extras",
		arches: s.arches, user: "packager@example.com", slots: s.slots, port: site.port()}
	made, err := u.make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := &processFarm{farm: made, t: t, site: site}
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
			"port = "+address+"\n", fmt.Sprintf("port = %d\nfirst_uid = %d\n", f.site.builder(i), f.site.uid()+100*i)).Replace(string(one))
		if err := os.WriteFile(f.file("builder", name+".cfg"), []byte(text), 0o644); err != nil {
			return err
		}
		if err := shareLayers(f.t, work); err != nil {
			return err
		}
		f.works = append(f.works, work)
		links = append(links, fmt.Sprintf("https://127.0.0.1:%d %s", f.site.builder(i), name))
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

// shareLayers makes a builder use the layers of those before it.
func shareLayers(t *testing.T, work string) error {
	shared := filepath.Join(demotest.Cache(t), "farm-layers")
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

// configure adds to the server's configuration.
func (f *processFarm) configure(text string) {
	f.t.Helper()
	file := f.file("server", "server.cfg")
	if err := os.WriteFile(file, append(mustRead(f.t, file), text...), 0o600); err != nil {
		f.t.Fatal(err)
	}
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
