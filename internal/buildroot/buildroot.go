// Package buildroot makes the tree that a package is built in, builds it there
// and hands out what came of it. Native does so with dnf, rpm and the farm's own
// sandbox; Mock has mock do it; Null does nothing, to measure what the farm itself
// costs.
package buildroot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"plague"
	"plague/internal/sandbox"
)

// A Repo is one repository that a buildroot is made from.
type Repo struct {
	ID           string // shown in logs
	URL          string // http, https or file; its repodata/repomd.xml is what is pinned
	RepomdSHA256 string // pinned digest of repomd.xml, hexadecimal; "": whatever it is now
	CACert       string // file with the CA of an https server that is not one of the world's; ""
	Own          bool   // the target's own build repository: changes often, updates the base layer
}

// A Spec says what to build in what.
type Spec struct {
	ID     string // names the folder of this build; a builder gives it to one build at a time
	Target string // distro-target-repo; Mock chooses its configuration by it
	Arch   string // of rpmbuild --target; noarch: what the source package says
	Root   string // arch of the buildroot; default Arch
	SRPM   string // the source package, a file

	Base  []string // what every buildroot has, such as @buildsys-build
	Repos []Repo

	UID, GID           int // of the slot: builds run as this
	FetchUID, FetchGID int // downloads run as this, with no other right; below 1: as this process

	Macros          map[string]string // for rpmbuild --define, such as dist, vendor, packager
	SourceDateEpoch int64             // seconds; 0: what the package says
	BuildHost       string            // name of the machine as the build sees it; default builder
	Limits          sandbox.Limits    // of rpmbuild; zero fields have defaults
}

func (s Spec) root() string { return cmp.Or(s.Root, s.Arch) }

// Log takes what happens: the buildroot's making, rpmbuild's output, the steps.
type Log struct{ Root, Build, Job io.Writer }

// Result is what came of a build. Without Failure it succeeded.
type Result struct {
	RPMs    []string // names of files in the out folder
	Phase   string   // the last phase it was in, a plague.Phase
	Failure *plague.Failure
	Used    plague.Usage
}

// trouble is an error that the packager has to mend; any other is the farm's.
type trouble struct{ text string }

func (t *trouble) Error() string { return t.text }

func packageTrouble(format string, args ...any) error {
	return &trouble{fmt.Sprintf(format, args...)}
}

// failure makes what the server is told of an error.
func failure(err error, phase plague.Phase) *plague.Failure {
	kind := plague.FailureInfrastructure
	var t *trouble
	if errors.As(err, &t) {
		kind = plague.FailurePackage
	}
	var s *shortage
	if errors.As(err, &s) {
		return &plague.Failure{Kind: s.kind, Phase: phase, Message: s.Error(), Had: s.had}
	}
	return &plague.Failure{Kind: kind, Phase: phase, Message: err.Error()}
}

// withDefaults fills the limits that a spec leaves open. They stop what has gone
// mad, not what is large: the largest packages build for a day.
func withDefaults(l sandbox.Limits) sandbox.Limits {
	if l.Wall == 0 {
		l.Wall = 48 * time.Hour
	}
	if l.Idle == 0 {
		l.Idle = 6 * time.Hour
	}
	if l.Output == 0 {
		l.Output = 256 << 20
	}
	if l.FileSize == 0 {
		l.FileSize = 32 << 30
	}
	if l.Procs == 0 {
		l.Procs = 8192
	}
	return l
}

// installLimits bound each step that installs packages.
func installLimits() sandbox.Limits {
	return sandbox.Limits{Wall: time.Hour, Output: 64 << 20, FileSize: 16 << 30}
}
