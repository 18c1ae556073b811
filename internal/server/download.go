package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/rpm"
	"plague/internal/store"
	"plague/internal/wire"

	"golang.org/x/sync/errgroup"
)

const (
	downloaders   = 32               // attempts whose files one server fetches at a time
	fromOne       = 4                // and of one builder: one that hears and does not answer must not hold all
	downloadLease = 10 * time.Minute // a claim's life; a transfer that takes longer goes on with the next claim
	downloadIdle  = 30 * time.Second // a transfer in which nothing comes for so long is given up
	maxFiles      = 10_000           // files of one attempt
)

// errResult is a result that is not what the job asked for. Another transfer
// would not change it.
var errResult = errors.New("the result is not what was asked for")

// downloads fetches the files of ended attempts. Any server may, whether it leads or
// not: the claim is a lease in the store.
func (s *Server) downloads(ctx context.Context) error {
	w := s.DB.Subscribe(store.TopicChores)
	defer w.Close()
	ended := make(chan struct{}, downloaders)
	g, ctx := errgroup.WithContext(ctx)
	for free := downloaders; ctx.Err() == nil; {
		ds, err := s.DB.ClaimDownloads(ctx, time.Now(), s.Name, downloadLease, free, fromOne)
		if err := s.over(ctx, "claiming downloads", err); err != nil {
			return errors.Join(err, g.Wait())
		}
		for _, d := range ds {
			free--
			g.Go(func() error {
				defer func() { ended <- struct{}{} }()
				return s.over(ctx, "downloading results", s.download(ctx, d))
			})
		}
		free += s.awaitChores(ctx, w.C, ended, free == 0)
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

// awaitChores waits until there may be something to claim, and says how many downloads
// have ended meanwhile. With all at work, only the end of one counts.
func (s *Server) awaitChores(ctx context.Context, wake, ended <-chan struct{}, busy bool) (n int) {
	tick := time.NewTimer(s.Options.Tick)
	defer tick.Stop()
	late := tick.C
	if busy {
		wake, late = nil, nil
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-late:
	case <-ended: // another of its builder may be claimed now
		n++
	}
	for {
		select {
		case <-ended:
			n++
		default:
			return n
		}
	}
}

// download fetches and checks one attempt's files and ends the arch job.
func (s *Server) download(ctx context.Context, d *store.Download) error {
	had, begun := s.here(d), time.Now()
	got, cancel := context.WithTimeout(ctx, downloadLease-time.Minute)
	files, err := s.fetch(got, d)
	cancel()
	if err == nil {
		err = s.lay(d, files)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return s.unlike(ctx, d, s.accept(ctx, d, files))
	case errors.Is(err, errResult):
		return s.failDownload(ctx, d, plague.FailurePackage, err.Error())
	}
	return s.later(ctx, d, s.here(d) > had, time.Since(begun), err)
}

// here is how many bytes of an attempt's files have come.
func (s *Server) here(d *store.Download) (n int64) {
	for _, a := range d.Files {
		digest, err := artifact.ParseDigest(a.Digest)
		if err != nil {
			continue // announced will say so
		}
		if have, err := s.Artifacts.Offset(digest); err == nil {
			n += have
		}
	}
	return n
}

// accept ends the arch job, also when the database is away for a minute: the
// files are here, and the claim outlives that.
func (s *Server) accept(ctx context.Context, d *store.Download, files []store.JobFile) error {
	for end := time.Now().Add(downloadLease / 2); ; {
		err := s.DB.Accept(ctx, time.Now(), d, s.Name, files)
		if !errors.Is(err, plague.ErrUnavailable) || time.Now().After(end) {
			return err
		}
		s.Log.WarnContext(ctx, "results not accepted, will try again", "job", d.Job.UID, "arch_job", d.ArchJob, "error", err)
		if !store.Wait(ctx, nil, s.Options.Tick) {
			return ctx.Err()
		}
	}
}

// later tries again with growing pauses. It gives up when too many tries have
// brought nothing, or all of them took too long: then the builder cannot give
// what it announced, and the arch job is built again. The builder is let alone for as
// long as it let us wait: others have results, too.
func (s *Server) later(ctx context.Context, d *store.Download, came bool, took time.Duration, cause error) error {
	s.Log.WarnContext(ctx, "results not downloaded", "job", d.Job.UID, "arch_job", d.ArchJob, "attempt", d.Number,
		"builder", d.Builder, "fruitless", d.Tries, "came", came, "error", cause)
	now := time.Now()
	if (came || d.Tries+1 < s.Options.DownloadTries) && now.Sub(d.Since) < s.Options.Download {
		return s.DB.DownloadLater(ctx, d, s.Name, now.Add(max(time.Second<<d.Tries, took)), came, cause.Error())
	}
	return s.failDownload(ctx, d, plague.FailureInfrastructure,
		fmt.Sprintf("the results on builder %s could not be downloaded within %s: %v", d.Builder, now.Sub(d.Since).Round(time.Second), cause))
}

func (s *Server) failDownload(ctx context.Context, d *store.Download, kind plague.FailureKind, why string) error {
	f := plague.Failure{Kind: kind, Phase: plague.PhaseDone, Message: why}
	return s.DB.FailDownload(ctx, time.Now(), d, s.Name, f, s.Options.InfraBudget)
}

// fetch brings all announced files into the artifact store and reads what the
// RPMs among them are. What failed needs only its logs.
func (s *Server) fetch(ctx context.Context, d *store.Download) ([]store.JobFile, error) {
	link, ours := s.roster.find(d.Builder)
	if !ours {
		return nil, fmt.Errorf("%w: builder %s is not in the configuration any more", plague.ErrNotFound, d.Builder)
	}
	if err := s.announced(d); err != nil {
		return nil, err
	}
	if err := s.spare(ctx, d.Files); err != nil {
		return nil, err
	}
	turns := make(wire.Turns, 1)
	var files []store.JobFile
	for _, a := range d.Files {
		if d.Failure == nil || isLog(a.Name) {
			files = append(files, store.JobFile{Arch: d.Arch, Run: d.Job.Run, Attempt: d.Number, Artifact: a})
		}
	}
	g, all := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	writers := map[string]int{} // an artifact has one
	for i, f := range files {
		if _, there := writers[f.Digest]; there {
			continue
		}
		writers[f.Digest] = i
		g.Go(func() (err error) {
			files[i].RPM, err = s.fetchOne(all, link, turns, d, f.Artifact)
			return err
		})
	}
	err := g.Wait()
	for i, f := range files {
		if err == nil && writers[f.Digest] != i {
			files[i].RPM, err = s.fetchOne(ctx, link, turns, d, f.Artifact)
		}
	}
	return files, err
}

// sideBySide is how many files of an attempt are checked and brought to the disk at a
// time: most are small, and the disk takes as long for one as for some.
const sideBySide = 8

// fetchOne brings one file into the artifact store, and gives the identity of an RPM.
func (s *Server) fetchOne(ctx context.Context, from Link, turns wire.Turns, d *store.Download, a plague.Artifact) (*store.RPM, error) {
	err := wire.Fetch(ctx, from.HTTP, turns, from.URL+wire.AttemptPath(d.AttemptID, a.Name), s.Artifacts, a, downloadIdle)
	if err == nil {
		err = s.sized(a)
	}
	if err != nil || isLog(a.Name) {
		return nil, err
	}
	return s.identify(d, a)
}

// sized says whether an artifact is as long as the builder has announced: one that was
// here already nobody has measured against that.
func (s *Server) sized(a plague.Artifact) error {
	digest, err := artifact.ParseDigest(a.Digest)
	if err != nil {
		return err
	}
	size, err := s.Artifacts.Offset(digest)
	if err == nil && size != a.Size {
		err = fmt.Errorf("%w: %s was announced with %d bytes and has %d", errResult, a.Name, a.Size, size)
	}
	return err
}

// spare keeps what is here already of an attempt's files until they are
// accepted.
func (s *Server) spare(ctx context.Context, files []plague.Artifact) error {
	digests := make([]string, len(files))
	for i, a := range files {
		digests[i] = a.Digest
	}
	return s.DB.Spare(ctx, digests)
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// announced checks the list before anything is fetched: names become paths,
// and sizes fill the disk.
func (s *Server) announced(d *store.Download) error {
	if len(d.Files) > maxFiles {
		return fmt.Errorf("%w: %d files", errResult, len(d.Files))
	}
	rpms, sources := 0, 0
	seen := map[string]bool{}
	for _, a := range d.Files {
		switch {
		case a.Name != path.Base(a.Name) || strings.HasPrefix(a.Name, ".") || strings.ContainsAny(a.Name, "/\\\x00\n"):
			return fmt.Errorf("%w: illegal file name %q", errResult, a.Name)
		case seen[a.Name]:
			return fmt.Errorf("%w: %q is there twice", errResult, a.Name)
		case !isLog(a.Name) && !strings.HasSuffix(a.Name, ".rpm"):
			return fmt.Errorf("%w: %q is neither an RPM nor a log", errResult, a.Name)
		case a.Size < 0 || a.Size > s.Options.MaxFile:
			return fmt.Errorf("%w: %s has %d bytes, the limit is %d", errResult, a.Name, a.Size, s.Options.MaxFile)
		}
		if _, err := artifact.ParseDigest(a.Digest); err != nil {
			return fmt.Errorf("%w: %s: %w", errResult, a.Name, err)
		}
		seen[a.Name] = true
		switch {
		case isSource(a.Name):
			sources++
		case !isLog(a.Name):
			rpms++
		}
	}
	switch {
	case d.Failure != nil:
		return nil
	case d.Kind == plague.KindSRPM && (rpms > 0 || sources != 1):
		return fmt.Errorf("%w: %d source packages and %d RPMs, not one source package", errResult, sources, rpms)
	case d.Kind != plague.KindSRPM && rpms == 0:
		return fmt.Errorf("%w: no RPM among %d files", errResult, len(d.Files))
	}
	return nil
}

func isSource(name string) bool {
	return strings.HasSuffix(name, ".src.rpm") || strings.HasSuffix(name, ".nosrc.rpm")
}

// identify checks one RPM against the job and gives its identity.
func (s *Server) identify(d *store.Download, a plague.Artifact) (*store.RPM, error) {
	digest, err := artifact.ParseDigest(a.Digest)
	if err != nil {
		return nil, err
	}
	f, _, err := s.Artifacts.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := rpm.Verify(f)
	if err != nil && !errors.Is(err, rpm.ErrNotRPM) {
		return nil, unreadable(digest, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errResult, a.Name, err)
	}
	if err := belongs(d, a.Name, h); err != nil {
		return nil, fmt.Errorf("%w: %w", errResult, err)
	}
	n := h.NEVRA()
	r := &store.RPM{Name: n.Name, Epoch: n.Epoch, Version: n.Version, Release: n.Release, Arch: n.Arch, Source: h.IsSource()}
	if n.Arch == rpm.Noarch {
		traits, err := h.Traits()
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errResult, a.Name, err)
		}
		r.Likeness = rpm.Likeness(traits)
	}
	return r, nil
}

// belongs says whether an RPM is one that the job could have made: its own
// name, the arch asked for, and the job's source package. The release may
// differ in its dist suffix, which the target's macros give and not the SRPM.
func belongs(d *store.Download, name string, h *rpm.Header) error {
	n := h.NEVRA()
	if d.Kind == plague.KindSRPM {
		if name != n.Filename() {
			return fmt.Errorf("%s holds %s", name, n)
		}
		return isSRPMOf(h, d.Job.Package, name)
	}
	source := h.SourceRPM()
	if h.IsSource() {
		source = n.NVR() + ".src.rpm"
	}
	if want := n.NVR() + "." + n.Arch + ".rpm"; !h.IsSource() && name != want {
		return fmt.Errorf("%s holds %s", name, want)
	}
	if h.IsSource() && name != source {
		return fmt.Errorf("%s holds %s", name, source)
	}
	if !h.IsSource() && n.Arch != d.Arch && n.Arch != rpm.Noarch {
		return fmt.Errorf("%s is for %s, not %s", name, n.Arch, d.Arch)
	}
	want := d.Job.Package + "-" + d.Job.Version + "-"
	release, ok := strings.CutPrefix(strings.TrimSuffix(source, ".src.rpm"), want)
	if !ok || !rpm.SameRelease(d.Job.Release, release) {
		return fmt.Errorf("%s was built from %s, not from %s%s.src.rpm", name, source, want, d.Job.Release)
	}
	return nil
}
