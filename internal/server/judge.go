package server

import (
	"plague"
	"plague/internal/store"
)

// verdict is what the server does about one attempt after a report.
type verdict struct {
	id    plague.AttemptID
	state plague.ArchState   // running, downloading or queued
	phase plague.Phase       // with running
	back  plague.FailureKind // with queued
	had   int64              // with queued by a size: bytes that were too few
	why   string             // with queued
	end   *plague.Failure    // with downloading: nil when it ended well
	files []plague.Artifact  // with downloading
	used  plague.Usage       // the same
	// srpm says that an SRPM is being made, or was; pinned is of what, if that is said.
	srpm   bool
	pinned *plague.Pinned
}

// judge compares what a builder should hold with what it reports. namedIn says
// with which sequence of this term's orders an attempt was first named: a
// report that does not know orders yet proves nothing about what they name. larger says
// why no other builder is larger, in what it ran out of, than one with so many bytes of it;
// empty: one is.
func judge(held []store.HeldRow, r plague.Report, namedIn map[plague.AttemptID]int64, larger func(store.HeldRow, plague.Failure) string) []verdict {
	reported := map[plague.AttemptID]plague.AttemptReport{}
	for _, a := range r.Attempts {
		reported[a.AttemptID] = a
	}
	var vs []verdict
	for _, h := range held {
		if h.State == plague.ArchDownloading {
			continue // it has ended; a download chore holds it
		}
		id := attemptOf(h)
		a, there := reported[id]
		if !there {
			if seq, ok := namedIn[id]; ok && r.Sequence >= seq {
				vs = append(vs, verdict{id: id, state: plague.ArchQueued, back: plague.FailureLost, why: "builder " + r.Builder + " no longer has it"})
			}
			continue
		}
		if v, ok := judgeOne(h, a, r, larger); ok {
			vs = append(vs, v)
		}
	}
	return vs
}

func judgeOne(h store.HeldRow, a plague.AttemptReport, r plague.Report, larger func(store.HeldRow, plague.Failure) string) (verdict, bool) {
	v, builder := verdict{id: a.AttemptID}, r.Builder
	switch {
	case a.Refused != "":
		v.state, v.back, v.why = plague.ArchQueued, store.Refused, "builder "+builder+" refused it: "+a.Refused
	case a.Phase == plague.PhaseDone:
		v.used = usedOf(a)
		v.state, v.files, v.srpm, v.pinned = plague.ArchDownloading, a.Artifacts, h.Kind == plague.KindSRPM, a.Pinned
	case a.Phase == plague.PhaseKilled:
		// Nobody here asked for it, or the store would not hold it any more.
		v.state, v.back, v.why = plague.ArchQueued, plague.FailureLost, "it was stopped on builder "+builder
	case a.Phase == plague.PhaseFailed:
		f := a.Failure
		if f == nil {
			f = &plague.Failure{Kind: plague.FailureInfrastructure, Message: "builder " + builder + " does not say why"}
		}
		if f.Kind.Size() {
			outgrown := failureOf(*f, r)
			why := larger(h, outgrown)
			if why == "" {
				v.state, v.back, v.why, v.had = plague.ArchQueued, f.Kind, f.Message, outgrown.Had
				break
			}
			outgrown.Message += "; " + why
			f = &outgrown
		} else if f.Kind != plague.FailurePackage {
			v.state, v.back, v.why = plague.ArchQueued, plague.FailureInfrastructure, f.Message
			if f.Kind == plague.FailureLost {
				v.back = f.Kind // any other word would have no budget
			}
			break
		}
		v.used = usedOf(a)
		v.state, v.end, v.files, v.pinned = plague.ArchDownloading, f, a.Artifacts, a.Pinned
		v.srpm = h.Kind == plague.KindSRPM && a.Pinned != nil
	case h.State == plague.ArchAssigned || h.Phase != a.Phase:
		v.state, v.phase = plague.ArchRunning, a.Phase
		v.srpm = h.Kind == plague.KindSRPM && a.Phase == plague.PhaseBuilding
	default:
		return v, false
	}
	return v, true
}
