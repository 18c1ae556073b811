package plague

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A JobID is what users call the uid: given once, in order of submission,
// never reused; a requeued job keeps it.
type JobID int64

// Background is the priority of jobs that let everybody's go first.
const Background = -10

// MaxPriority bounds priorities on both sides.
const MaxPriority = 100

// A Job is one request of a user to build one source for one target. The
// server creates it when a user submits it and walks it through its states;
// only the store writes its state.
type Job struct {
	UID      JobID
	Run      int    // 1 for the first run; every requeue adds one
	User     string // e-mail of the submitter, from the certificate
	Package  string // name of the source package
	Source   string // what the user named: a file name, or a tag in the SCM
	SRPM     string // SHA-256 of the SRPM, hexadecimal; empty until there is one
	SRPMSize int64  // bytes
	Target   string // Target.String(): distro-target-repo
	State    JobState
	Scratch  bool  // built, never published
	After    JobID // waits until this job is repodone; 0: for none
	Priority int   // higher goes first; 0 is everybody's
	Epoch    string
	Version  string
	Release  string
	Pin      Pin    // what its buildroots see; set at prep → building
	Reason   string // why it failed or was killed, for people
	Snapshot int64  // number of the snapshot that first holds it; 0: none

	SubmittedAt time.Time // no requeue changes it
	QueuedAt    time.Time // when this run was submitted
	BegunAt     time.Time // when it left waiting; zero: it has not
	EndedAt     time.Time // when it came to rest; zero: it has not
	StateAt     time.Time // when it came into its state
}

// A Pin is the state of the repositories that all arch jobs and attempts of
// one run build against. Retention never removes what a pin in use names.
type Pin struct {
	Snapshot int64     // of the target's own build repository; 0: it is empty
	Repos    []BasePin // every base repository for every arch
}

// A BasePin is the state of one base repository: the repomd.xml it had.
type BasePin struct {
	ID     string
	Arch   string
	URL    string
	Repomd string // SHA-256 of repomd.xml, hexadecimal
}

// JobState is a state of a Job: the words of 2005 and, after them, released.
type JobState string

const (
	JobWaiting    JobState = "waiting"    // accepted; its turn or another job is awaited
	JobInitialize JobState = "initialize" // the leader has taken it up
	JobCheckout   JobState = "checkout"   // a builder fetches its source from the SCM
	JobMakeSRPM   JobState = "make_srpm"  // a builder makes the SRPM
	JobPrep       JobState = "prep"       // the SRPM's header is read, arches are chosen
	JobBuilding   JobState = "building"   // arch jobs are queued or run
	JobFinished   JobState = "finished"   // every arch job has ended; a scratch job rests here
	JobAddToRepo  JobState = "addtorepo"  // waits for the next snapshot
	JobRepoDone   JobState = "repodone"   // committed in a snapshot: the next build sees it
	JobNeedSign   JobState = "needsign"   // rests until it is signed
	JobReleased   JobState = "released"   // signed and in the release repository
	JobFailed     JobState = "failed"     // could not be built
	JobKilled     JobState = "killed"     // a person stopped it
)

// JobStates lists the states in the order in which a job meets them.
func JobStates() []JobState {
	return []JobState{
		JobWaiting, JobInitialize, JobCheckout, JobMakeSRPM, JobPrep, JobBuilding, JobFinished,
		JobAddToRepo, JobRepoDone, JobNeedSign, JobReleased, JobFailed, JobKilled,
	}
}

// NamedState gives the state that a person named.
func NamedState(word string) (JobState, error) {
	if s := JobState(word); slices.Contains(JobStates(), s) {
		return s, nil
	}
	var words []string
	for _, s := range JobStates() {
		words = append(words, string(s))
	}
	hint := "the states are " + strings.Join(words, ", ")
	if near := Nearest(word, words); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return "", Refuse(ErrInvalid, fmt.Sprintf("there is no state %q", word), hint)
}

// next is the table of a run of a job. A kill is legal until the publish
// commit; requeue, which begins another run, is not a transition of this one.
func (s JobState) next() []JobState {
	switch s {
	case JobWaiting:
		return []JobState{JobInitialize, JobFailed, JobKilled}
	case JobInitialize:
		return []JobState{JobCheckout, JobPrep, JobFailed, JobKilled}
	case JobCheckout:
		return []JobState{JobMakeSRPM, JobFailed, JobKilled}
	case JobMakeSRPM:
		return []JobState{JobPrep, JobFailed, JobKilled}
	case JobPrep:
		return []JobState{JobBuilding, JobFailed, JobKilled}
	case JobBuilding:
		return []JobState{JobFinished, JobKilled}
	case JobFinished:
		return []JobState{JobAddToRepo, JobFailed, JobKilled}
	case JobAddToRepo:
		return []JobState{JobRepoDone, JobFailed, JobKilled}
	case JobRepoDone:
		return []JobState{JobNeedSign}
	case JobNeedSign:
		return []JobState{JobReleased}
	}
	return nil
}

// Next lists the states that may follow s in the same run.
func (s JobState) Next() []JobState { return s.next() }

// CanBecome says whether t may follow s in the same run.
func (s JobState) CanBecome(t JobState) bool { return slices.Contains(s.next(), t) }

// Requeueable says whether another run may begin from s.
func (s JobState) Requeueable() bool { return s == JobFailed || s == JobKilled }

// Final says whether nothing follows by itself: the state has no successor, or
// the job is a scratch job that has finished. NeedSign is a rest, not an end.
func (j *Job) Final() bool {
	return len(j.State.next()) == 0 || j.Scratch && j.State == JobFinished
}

// Resting says whether the farm has nothing more to do for the job unless a
// person acts: it is final, or waits for its signature.
func (j *Job) Resting() bool { return j.Final() || j.State == JobNeedSign }

// Published says whether the job's RPMs are committed in a snapshot.
func (s JobState) Published() bool {
	return s == JobRepoDone || s == JobNeedSign || s == JobReleased
}

// NVR is name-version-release as far as it is known: the name alone before prep.
func (j *Job) NVR() string {
	if j.Version == "" {
		return j.Package
	}
	return j.Package + "-" + j.Version + "-" + j.Release
}
