package plague

import "time"

// A Line is a sequence of snapshots of one target.
type Line string

// LineBuild is what buildroots see: unsigned, at once.
const LineBuild Line = "build"

// A Snapshot is an immutable, numbered state of a target's repository.
type Snapshot struct {
	Target string
	Line   Line
	Number int64 // 1, 2, 3… within target and line
	Parent int64 // 0: the first
	At     time.Time
}

// A RepoRPM is one RPM as a member of a target's repository: an identity
// (NEVRA, source package, job) apart from the file that holds it.
type RepoRPM struct {
	Job    JobID
	Name   string
	Epoch  int
	Vers   string
	Rel    string
	Arch   string   // of the RPM: noarch lands in the repository of every arch
	Arches []string // repositories it lands in
	File   Artifact
}
