package server

import (
	"slices"
	"time"

	"plague"
	"plague/internal/rpm"
	"plague/internal/store"
)

// orders says what a builder should have: everything the store says it holds
// is to be run, everything else it reports is to be stopped, and forgotten
// once it has ended. What is held comes first, in its order. Pure: the caller has read
// held after the report came, and adds the work to what is sent.
func orders(held []store.HeldRow, reported []plague.AttemptReport) []plague.Order {
	var all []plague.Order
	named := map[plague.AttemptID]bool{}
	for _, h := range held {
		id := attemptOf(h)
		named[id] = true
		all = append(all, plague.Order{AttemptID: id, Verb: plague.VerbRun})
	}
	for _, r := range reported {
		if named[r.AttemptID] {
			continue
		}
		verb := plague.VerbStop
		if r.Phase.Ended() || r.Refused != "" {
			verb = plague.VerbForget
		}
		all = append(all, plague.Order{AttemptID: r.AttemptID, Verb: verb})
	}
	return all
}

// work describes an attempt to the builder that will run it. arches are what
// the builder offers, in its own order.
func (s *Server) work(h store.HeldRow, arches []string) *plague.Work {
	j := h.JobRow
	w := &plague.Work{
		Job: j.UID, Run: h.Run, Kind: h.Kind, Package: j.Package, Target: j.Target, Arch: h.Arch, RootArch: h.Arch,
		SRPM:    plague.Artifact{Name: srpmName(j), Digest: j.SRPM, Size: j.SRPMSize},
		Timeout: s.Options.Attempt,
	}
	t := s.target(j.Target)
	if t == nil {
		return w // the target is gone from the configuration: what runs may end
	}
	w.Buildroot, w.Macros = t.Buildroot, t.Macros
	if h.Kind == plague.KindSRPM {
		w.SRPM, w.SCM, w.Tag = plague.Artifact{}, t.SCM, j.Source
	}
	if roots := rootsOf(h.ArchJob, t); plague.Anywhere(h.Arch) {
		w.RootArch = rootArch(roots, arches)
	} else if len(roots) > 0 {
		w.RootArch = roots[0]
	}
	w.Repos = s.workRepos(j, w.RootArch)
	return w
}

// rootsOf lists the arches of the buildroots that an arch job may run in. Those that
// were queued before that was kept have none of their own.
func rootsOf(a plague.ArchJob, t *plague.Target) []string {
	if len(a.Roots) > 0 {
		return a.Roots
	}
	if plague.Anywhere(a.Arch) {
		return rpm.Roots(rpm.Noarch, t.BaseArches)
	}
	return rpm.Roots(a.Arch, t.BaseArches)
}

// rootArch is the arch of the buildroot for what runs anywhere: the first of the
// builder's own that will do.
func rootArch(roots, offered []string) string {
	for _, a := range offered {
		if slices.Contains(roots, a) {
			return a
		}
	}
	return rpm.Noarch
}

// workRepos are the repositories of a run at their pinned state, for one arch.
func (s *Server) workRepos(j plague.Job, arch string) []plague.WorkRepo {
	var repos []plague.WorkRepo
	for _, b := range j.Pin.Repos {
		if b.Arch == arch {
			repos = append(repos, plague.WorkRepo{ID: b.ID, URL: b.URL, Repomd: b.Repomd})
		}
	}
	if j.Pin.Snapshot == 0 {
		return repos // nothing has been published yet
	}
	own := plague.WorkRepo{ID: "plague", URL: snapshotURL(s.RepoURL, j.Target, arch, j.Pin.Snapshot), Own: true}
	own.Repomd, _ = s.Tree.Repomd(j.Target, arch, j.Pin.Snapshot) // without it the builder checks what it is served by TLS alone
	return append(repos, own)
}

// srpmName is the file name an SRPM has for builders: its own NVR, whatever
// the user's file was called.
func srpmName(j plague.Job) string { return j.NVR() + ".src.rpm" }

// overdue says whether an attempt has been on its builder for longer than any
// attempt may take.
func overdue(h store.HeldRow, now time.Time, limit time.Duration) bool {
	return h.State == plague.ArchRunning && now.Sub(h.StateAt) > limit
}
