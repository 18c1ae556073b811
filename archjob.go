package plague

import (
	"slices"
	"time"
)

// An ArchJobID names an arch job; never reused.
type ArchJobID int64

// Kind says what an arch job does.
type Kind string

const (
	KindSRPM  Kind = "srpm"  // checkout and make_srpm; its arch is src
	KindBuild Kind = "build" // from the SRPM to RPMs
)

// Arches of arch jobs that run in a buildroot of whatever arch.
const (
	ArchSource = "src"    // of kind srpm
	ArchNoarch = "noarch" // makes only RPMs that fit every machine
)

// Anywhere says whether an arch job for arch runs on a builder of any of its Roots,
// not only on one that offers arch itself.
func Anywhere(arch string) bool { return arch == ArchSource || arch == ArchNoarch }

// An ArchJob is the part of one run of a Job that one builder runs for one
// arch. The server creates it; only the builder that holds its current attempt
// may report on it.
type ArchJob struct {
	ID      ArchJobID
	Job     JobID
	Run     int
	Kind    Kind
	Arch    string
	Roots   []string // arches of the buildroots it may run in: several for noarch and src
	State   ArchState
	Attempt int    // number of the current attempt; 0: none yet. Numbers are never reused
	Token   string // random name of the current attempt: a number alone can come back from a backup
	Builder string // holds the current attempt; empty: nobody
	Phase   Phase  // what the builder says; shown, never decided on
	Lost    int    // attempts of this run ended by a lost or restarted builder
	Infra   int    // attempts of this run ended by infrastructure trouble
	// Outgrew says what an attempt of this run ran out of, FailureMemory or FailureDisk, and
	// Above how many bytes of it the builder had: the next one must have more. Empty: nothing.
	Outgrew FailureKind
	Above   int64
	Reason  string // why it failed, or why it was queued again
	// FailureKind and FailurePhase say of a failed one what kind of trouble and where.
	FailureKind  FailureKind
	FailurePhase Phase
	QueuedAt     time.Time
	BegunAt      time.Time // the first attempt's start; zero: not yet
	EndedAt      time.Time
	StateAt      time.Time
}

// ArchState is the server's word for an arch job.
type ArchState string

const (
	ArchQueued      ArchState = "queued"      // waits for a slot
	ArchAssigned    ArchState = "assigned"    // a builder was chosen; it has not answered yet
	ArchRunning     ArchState = "running"     // the builder says it runs
	ArchDownloading ArchState = "downloading" // it has ended well; the server fetches its files
	ArchDone        ArchState = "done"        // all files are here and checked
	ArchFailed      ArchState = "failed"      // it could not be built
	ArchKilled      ArchState = "killed"      // a person stopped the job
)

// ArchStates lists the states in the order in which an arch job meets them.
func ArchStates() []ArchState {
	return []ArchState{ArchQueued, ArchAssigned, ArchRunning, ArchDownloading, ArchDone, ArchFailed, ArchKilled}
}

// Next lists the states that may follow. Back to queued is the event "lost" or
// "infrastructure trouble": the next attempt gets the next number.
func (s ArchState) Next() []ArchState {
	switch s {
	case ArchQueued:
		return []ArchState{ArchAssigned, ArchFailed, ArchKilled}
	case ArchAssigned:
		return []ArchState{ArchRunning, ArchDownloading, ArchFailed, ArchQueued, ArchKilled}
	case ArchRunning:
		return []ArchState{ArchDownloading, ArchFailed, ArchQueued, ArchKilled}
	case ArchDownloading:
		return []ArchState{ArchDone, ArchFailed, ArchQueued, ArchKilled}
	}
	return nil
}

// CanBecome says whether t may follow s.
func (s ArchState) CanBecome(t ArchState) bool { return slices.Contains(s.Next(), t) }

// Final says whether the arch job has ended.
func (s ArchState) Final() bool { return len(s.Next()) == 0 }

// Held says whether a builder holds the arch job's current attempt.
func (s ArchState) Held() bool {
	return s == ArchAssigned || s == ArchRunning || s == ArchDownloading
}

// Phase is the builder's word for what an attempt does just now.
type Phase string

const (
	PhaseDownloading Phase = "downloading" // the SRPM
	PhaseDownloaded  Phase = "downloaded"
	PhasePrepping    Phase = "prepping" // the buildroot
	PhaseBuilding    Phase = "building" // rpmbuild runs
	PhaseCleanup     Phase = "cleanup"
	PhaseDone        Phase = "done"
	PhaseFailed      Phase = "failed"
	PhaseKilled      Phase = "killed"
)

// Ended says whether the attempt is over on the builder.
func (p Phase) Ended() bool { return p == PhaseDone || p == PhaseFailed || p == PhaseKilled }

// FailureKind says who has to mend a failure.
type FailureKind string

const (
	FailurePackage        FailureKind = "package"        // the packager: never retried
	FailureInfrastructure FailureKind = "infrastructure" // the farm: requeued, within a budget
	FailureLost           FailureKind = "lost"           // the builder was lost or restarted: requeued, with its own budget
	FailureMemory         FailureKind = "memory"         // the build needs more memory than the builder has: requeued once in a run, for a larger one
	FailureDisk           FailureKind = "disk"           // the same of disk
)

// Size says whether the build was too large for its builder.
func (k FailureKind) Size() bool { return k == FailureMemory || k == FailureDisk }

// A Failure is why an attempt did not succeed.
type Failure struct {
	Kind    FailureKind
	Phase   Phase
	Message string // one line for people
	Had     int64  // with a Size: bytes that the builder had when the attempt began; 0: it does not say
}

// An AttemptID names one try of an arch job. The number fences off late
// reports; the token, those of a number given twice by a restored database.
type AttemptID struct {
	ArchJob ArchJobID
	Number  int
	Token   string
}

// An Attempt is what is kept of one try of an arch job.
type Attempt struct {
	AttemptID
	Builder string
	BegunAt time.Time // when it was assigned
	EndedAt time.Time // zero: it has not ended
	Outcome string    // "", done, killed, or a FailureKind
	Reason  string
	Used    Usage
}

// An Artifact is a file that an attempt produced or needs, named by its SHA-256.
type Artifact struct {
	Name   string // base name, such as tree-2.1.0-1.x86_64.rpm or build.log
	Digest string // SHA-256, hexadecimal
	Size   int64  // bytes
}
