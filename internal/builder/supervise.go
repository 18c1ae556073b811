package builder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"syscall"
	"time"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/buildroot"
	"plague/internal/durable"
)

// Backend turns a source package into RPMs.
type Backend interface {
	Build(ctx context.Context, s buildroot.Spec, log buildroot.Log, out string, phase func(string)) (buildroot.Result, error)
}

// Supervision is what a supervisor needs beside its attempt's folder.
type Supervision struct {
	Dir      *durable.Dir // the attempt's folder
	Name     string       // of the folder, which its record has to name; empty: it is not checked
	Slots    string       // root's folder with a lock for each slot; empty: there are none
	Backend  Backend
	Sources  Sourcer
	FirstUID int    // uid of slot 0; slot n has FirstUID+n
	FetchUID int    // of the daemon, whose the folder is: downloads run as this user; -1: as the supervisor itself
	FetchGID int    // of the same
	CACert   string // file with the CA of the farm's own repositories
	Hostname string // name that builds see as their host
	News     func(News)
}

// Supervise runs one attempt and leaves its outcome in the folder. It returns
// an error only when not even that could be written. When ctx ends the build
// is stopped, and that is its outcome.
func Supervise(ctx context.Context, s Supervision) error {
	f, err := s.regular(recordFile)
	if err != nil {
		return fmt.Errorf("no record: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	f.Close()
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if r.Slot < 0 || r.Slot > maxSlot || s.FirstUID+r.Slot == s.FetchUID {
		return fmt.Errorf("record: there is no slot %d", r.Slot) // a uid that is not the builder's to give
	}
	if name := path.Base(dirName(r.ID)); s.Name != "" && s.Name != name {
		return fmt.Errorf("record: it is that of %s", name) // whose buildroot it would take for its own
	}
	if r.Work.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.Work.Timeout, errTimeout)
		defer cancel()
	}
	o := s.inSlot(ctx, r)
	o.EndedAt = time.Now()
	data, err = json.Marshal(o)
	if err != nil {
		return err
	}
	return s.Dir.WriteFile(outcomeFile, data, 0o644)
}

// maxRecord is the most that is read of a record.
const maxRecord = 16 << 20

// maxSlot bounds the uids that builds run as: the record is the daemon's, which
// is not trusted with them.
const maxSlot = 999

var errTimeout = errors.New("time-out")

// inSlot builds while nobody else has the slot's account.
func (s *Supervision) inSlot(ctx context.Context, r record) Outcome {
	if s.Slots == "" {
		return s.build(ctx, r)
	}
	slot, err := holdSlot(ctx, s.Slots, r.Slot)
	if err != nil {
		return outcome(ctx, buildroot.Result{Phase: string(plague.PhasePrepping)}, err)
	}
	defer slot.Close()
	return s.build(ctx, r)
}

func (s *Supervision) build(ctx context.Context, r record) Outcome {
	trouble := func(err error) Outcome {
		return Outcome{Failure: &plague.Failure{Kind: plague.FailureInfrastructure, Phase: plague.PhasePrepping, Message: err.Error()}}
	}
	logs, closeLogs, err := s.logs()
	if err != nil {
		return trouble(err)
	}
	fmt.Fprintf(logs.Job, "job %d run %d, arch job %d attempt %d: %s for %s on %s\n",
		r.Work.Job, r.Work.Run, r.ID.ArchJob, r.ID.Number, cmp.Or(r.Work.SRPM.Name, r.Work.Package+" "+r.Work.Tag), r.Work.Target, r.Work.Arch)
	files, err := s.Dir.Open(filesDir)
	if err != nil {
		return trouble(err)
	}
	defer files.Close()
	do := s.make
	if r.Work.Kind == plague.KindSRPM {
		do = s.makeSource
	}
	o := do(ctx, r, logs, held(files), func(p string) {
		fmt.Fprintf(logs.Job, "%s %s\n", time.Now().UTC().Format(time.RFC3339), p)
		s.News(News{Phase: plague.Phase(p)})
	})
	if o.Failure != nil {
		fmt.Fprintf(logs.Job, "failed (%s, %s): %s\n", o.Failure.Kind, o.Failure.Phase, o.Failure.Message)
	}
	if err := closeLogs(); err != nil && (o.Failure == nil || !o.Failure.Kind.Size()) { // logs end early on a full disk
		return trouble(err)
	}
	if o.Files, err = s.files(); err != nil {
		return trouble(err)
	}
	return o
}

// make builds the source package that the daemon has fetched.
func (s *Supervision) make(ctx context.Context, r record, logs buildroot.Log, out string, phase func(string)) Outcome {
	srpm, err := s.regular(srpmFile)
	if err != nil {
		return outcome(ctx, buildroot.Result{Phase: string(plague.PhasePrepping)}, err)
	}
	defer srpm.Close()
	res, err := s.Backend.Build(ctx, s.spec(r, held(srpm)), logs, out, phase)
	o := outcome(ctx, res, err)
	o.Used = res.Used
	return o
}

// makeSource makes a source package out of the SCM.
func (s *Supervision) makeSource(ctx context.Context, r record, logs buildroot.Log, out string, phase func(string)) Outcome {
	if s.Sources == nil {
		return outcome(ctx, buildroot.Result{Phase: string(plague.PhaseDownloading)}, errors.New("this builder makes no source packages"))
	}
	pinned, res, err := s.Sources.SRPM(ctx, r.Work, s.spec(r, ""), logs, out, phase)
	o := outcome(ctx, res, err)
	o.Pinned = pinned
	return o
}

// regular opens a file of the attempt's folder to read from. Neither it nor what
// it is reached by later leads out of the folder, which is the daemon's: root
// must not read for it what it may not.
func (s *Supervision) regular(name string) (*os.File, error) {
	f, err := s.Dir.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is no regular file", name), err, f.Close())
	}
	if st, ok := info.Sys().(*syscall.Stat_t); s.FetchUID >= 0 && (!ok || int(st.Uid) != s.FetchUID) { // a hard link
		return nil, errors.Join(fmt.Errorf("%s is not the daemon's", name), f.Close())
	}
	return f, nil
}

// outcome reads what a backend says, in the light of why its context ended.
func outcome(ctx context.Context, res buildroot.Result, err error) Outcome {
	switch {
	case context.Cause(ctx) == errTimeout:
		return Outcome{Failure: &plague.Failure{Kind: plague.FailurePackage, Phase: plague.Phase(res.Phase), Message: "the build took longer than it may"}}
	case ctx.Err() != nil:
		return Outcome{Killed: true}
	case err != nil:
		return Outcome{Failure: &plague.Failure{Kind: plague.FailureInfrastructure, Phase: plague.Phase(res.Phase), Message: err.Error()}}
	case res.Failure != nil:
		return Outcome{Failure: res.Failure}
	}
	return Outcome{}
}

func (s *Supervision) spec(r record, srpm string) buildroot.Spec {
	uid := s.FirstUID + r.Slot
	spec := buildroot.Spec{
		ID: fmt.Sprintf("%d-%d", r.ID.ArchJob, r.ID.Number), Target: r.Work.Target, Arch: r.Work.Arch, Root: r.Work.RootArch, SRPM: srpm,
		Base: r.Work.Buildroot, UID: uid, GID: uid, FetchUID: s.FetchUID, FetchGID: s.FetchGID,
		Macros: r.Work.Macros, BuildHost: s.Hostname,
	}
	for _, repo := range r.Work.Repos {
		one := buildroot.Repo{ID: repo.ID, URL: repo.URL, RepomdSHA256: repo.Repomd, Own: repo.Own}
		if repo.Own {
			one.CACert = s.CACert
		}
		spec.Repos = append(spec.Repos, one)
	}
	return spec
}

// maxLog is what is kept of one log; what a build says beyond it is counted.
const maxLog = 200 << 20

// logs opens the three logs of 2005.
func (s *Supervision) logs() (buildroot.Log, func() error, error) {
	var all [3]*buildlog.Writer
	for i, name := range []string{"root.log", "build.log", "job.log"} {
		w, err := buildlog.Create(s.Dir, path.Join(filesDir, name), maxLog)
		if err != nil {
			return buildroot.Log{}, nil, err
		}
		all[i] = w
	}
	tell := func(w io.Writer) io.Writer { return telling{w, s.News} }
	return buildroot.Log{Root: tell(all[0]), Build: tell(all[1]), Job: tell(all[2])}, func() error {
		return errors.Join(all[0].End(), all[1].End(), all[2].End())
	}, nil
}

// telling tells that a log has grown with each write.
type telling struct {
	w    io.Writer
	news func(News)
}

func (t telling) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.news(News{Log: true})
	return n, err
}

// files lists what the attempt leaves, with digests. Only regular files: what
// a build made is not to be trusted.
func (s *Supervision) files() ([]plague.Artifact, error) {
	entries, err := s.Dir.ReadDir(filesDir)
	if err != nil {
		return nil, err
	}
	var all []plague.Artifact
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		f, err := s.Dir.Open(path.Join(filesDir, e.Name()))
		if err != nil {
			return nil, err
		}
		a, err := digest(f, e.Name())
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func digest(f *os.File, name string) (plague.Artifact, error) {
	h := sha256.New()
	n, err := io.Copy(h, f)
	return plague.Artifact{Name: name, Digest: hex.EncodeToString(h.Sum(nil)), Size: n}, err
}
