package farmtest

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"plague"
	"plague/internal/rpm"
	"plague/internal/server"
	"plague/internal/store"
)

func nevra(j plague.Job) rpm.NEVRA {
	epoch, _ := strconv.Atoi(j.Epoch)
	return rpm.NEVRA{Name: j.Package, EVR: rpm.EVR{Epoch: epoch, Version: j.Version, Release: j.Release}, Arch: "src"}
}

// files checks what was accepted: the digests, that nothing is there which the
// recipe does not make, and that the result tree shows the same.
func (a *audit) files(j plague.Job, arches []plague.ArchJob) error {
	files, err := a.db.Files(a.ctx, j.UID, j.Run)
	if err != nil {
		return err
	}
	r, _ := a.recipe(j.NVR())
	for _, aj := range arches {
		want := map[string]bool{}
		if aj.State == plague.ArchDone {
			want = r.names(j, aj.Arch)
		}
		got := map[string]bool{}
		for _, f := range files {
			if f.Arch != aj.Arch {
				continue
			}
			a.stored(j, f)
			if f.RPM != nil {
				got[f.Name] = true
			}
			if aj.State == plague.ArchDone && f.Attempt != aj.Attempt {
				a.broken("2: job %d has %s of attempt %d, the arch job was done by %d", j.UID, f.Name, f.Attempt, aj.Attempt)
			}
		}
		if !maps.Equal(got, want) && !(len(got) == 0 && aj.State != plague.ArchDone) {
			a.broken("4: job %d for %s (%s) has %v, it makes %v", j.UID, aj.Arch, aj.State, got, want)
		}
	}
	return nil
}

// stored checks one accepted file in the artifact store and in the result tree.
func (a *audit) stored(j plague.Job, f store.JobFile) {
	places := []string{
		filepath.Join(a.artifacts(), f.Digest[:2], f.Digest[2:4], f.Digest),
		filepath.Join(a.results(), server.ResultDir(j), f.Arch, f.Name),
	}
	for _, place := range places {
		text, err := os.ReadFile(place)
		if err != nil {
			a.broken("4: job %d: %v", j.UID, err)
		} else if sha(text) != f.Digest || int64(len(text)) != f.Size {
			a.broken("4: job %d: %s is %s, not %s", j.UID, place, sha(text), f.Digest)
		}
	}
}

// repositories checks that every snapshot holds exactly the jobs that had been
// published by then, and that readers are shown the newest.
func (a *audit) repositories() error {
	a.reader.Forget()
	published, err := a.published()
	if err != nil {
		return err
	}
	for i := range a.targets {
		t := &a.targets[i]
		current, err := a.db.Current(a.ctx, t.String(), plague.LineBuild)
		if err != nil {
			return err
		}
		a.Seen["snapshots"] += int(current)
		for n := int64(1); n <= current; n++ {
			if err := a.snapshot(t, n, published[t.String()]); err != nil {
				return err
			}
		}
		for _, arch := range t.BaseArches {
			if shown := a.reader.Shown(t, arch); shown != current {
				a.broken("3: %s for %s shows snapshot %d, the database says %d", t, arch, shown, current)
			}
		}
	}
	return nil
}

// member is one file of one published job.
type member struct {
	digest string
	since  int64 // number of the snapshot that first held it
	until  int64 // number of the first that did not any more; 0: all do
}

// published lists what the jobs say is in each target: by href.
func (a *audit) published() (map[string]map[string]member, error) {
	jobs, err := everyJob(a.ctx, a.db)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]member{}
	for _, j := range jobs {
		if !j.State.Published() {
			continue
		}
		if j.Scratch || j.Snapshot == 0 {
			a.broken("3: job %d is %s in snapshot %d, scratch: %v", j.UID, j.State, j.Snapshot, j.Scratch)
		}
		files, err := a.db.Files(a.ctx, j.UID, j.Run)
		if err != nil {
			return nil, err
		}
		until, err := a.retired(j)
		if err != nil {
			return nil, err
		}
		if all[j.Target] == nil {
			all[j.Target] = map[string]member{}
		}
		for _, f := range files {
			if f.RPM != nil && !f.RPM.Source {
				href := path.Join("Packages", fmt.Sprint(j.UID), f.Name)
				all[j.Target][href] = member{f.Digest, j.Snapshot, until}
			}
		}
	}
	return all, nil
}

// retired gives the first snapshot without a job's RPMs; 0: it is in all.
func (a *audit) retired(j plague.Job) (int64, error) {
	r, err := a.db.Retirement(a.ctx, j.UID)
	if err != nil || r == nil {
		return 0, err
	}
	a.Seen["jobs retired"]++
	if r.Snapshot <= j.Snapshot || r.Who != "root@farm" {
		a.broken("3: job %d came with snapshot %d, and was retired by %s in %d", j.UID, j.Snapshot, r.Who, r.Snapshot)
	}
	return r.Snapshot, nil
}

// snapshot compares one snapshot in the database and on the disk with what the
// jobs say.
func (a *audit) snapshot(t *plague.Target, n int64, published map[string]member) error {
	rows, err := a.db.Members(a.ctx, t.String(), plague.LineBuild, n)
	if err != nil {
		return err
	}
	inStore := map[string]string{}
	for _, m := range rows {
		inStore[path.Join("Packages", fmt.Sprint(m.Job), m.File.Name)] = m.File.Digest
	}
	want := map[string]string{}
	for href, m := range published {
		if m.since <= n && (m.until == 0 || n < m.until) {
			want[href] = m.digest
		}
	}
	if !sameNames(inStore, want) {
		a.broken("3: snapshot %d of %s has the members %v, the published jobs %v", n, t, inStore, want)
	}
	for _, arch := range t.BaseArches {
		expect := map[string]string{}
		for href, digest := range inStore {
			if rpmArch := archOf(href); rpmArch == rpm.Noarch || rpmArch == arch {
				expect[href] = digest
			}
		}
		_, got, err := a.reader.resolve(filepath.Join(a.results(), "repos", t.String(), arch), fmt.Sprintf("@%d/repodata", n))
		if err != nil || !maps.Equal(got, expect) {
			a.broken("3: snapshot %d of %s for %s holds %v, not %v (%v)", n, t, arch, got, expect, err)
		}
	}
	return nil
}

// sameNames compares by name: of a noarch file that two arches made, either
// may be the one that was taken.
func sameNames(a, b map[string]string) bool {
	for name := range a {
		if _, ok := b[name]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}

func archOf(href string) string {
	name := strings.TrimSuffix(href, ".rpm")
	return name[strings.LastIndexByte(name, '.')+1:]
}
