// Package source makes of what a packager named, a package and a tag, one
// verified source package: it fetches from git, CVS or Subversion, adds the files
// that a lookaside keeps, and has rpmbuild or the package's own Makefile pack them
// in a sandbox. Config.Plan decides and touches nothing, Fetcher has the network
// and runs nothing of the package, Maker runs the package's code and has no
// network: docs/adr/0008-sources.md.
package source

import (
	"time"

	"plague"
)

// Kind is a source control system.
type Kind string

const (
	Git Kind = "git"
	CVS Kind = "cvs"
	SVN Kind = "svn"
)

// name is what people call it.
func (k Kind) name() string {
	return map[Kind]string{Git: "git", CVS: "CVS", SVN: "Subversion"}[k]
}

// Layout says what a package's tree looks like.
type Layout string

const (
	DistGit Layout = "dist-git" // a spec, and a file sources that names what the lookaside has
	Plain   Layout = "plain"    // a spec, and everything that it names
	Make    Layout = "make"     // a Makefile with a target srpm, and perhaps sources: the trees of 2005
)

// A Config is what an administrator says of a target's sources: its section
// [SCM], or [CVS] of old.
type Config struct {
	Kind   Kind
	Layout Layout // default: make for CVS, else dist-git

	// URL is where git and Subversion find a package: $package in it stands for
	// the name, which is put behind it otherwise. In a Subversion URL $tag stands
	// for trunk, branches/<name> or tags/<name>, which is put behind it otherwise.
	URL string

	CVSRoot string // :pserver:anonymous@host:/path, :ext:user@host:/path, or /path
	CVSRSH  string // the program behind :ext:, such as ssh
	Common  string // module that is put into each package's folder, such as common; "": none

	Branch string // folder below the package's in which spec or Makefile stand: cvs_alias, or the target; "": none

	Lookaside string // folder, or http(s) URL; "": none
	Network   bool   // make_srpm may reach Lookaside, if that is a URL, and nothing else

	// Allow lists what may be asked, as prefixes: https://host/path/. Protocols are
	// https http git ssh svn svn+ssh file, and for CVS pserver ext local. Empty:
	// what URL or CVSRoot say, but nothing on this machine.
	Allow []string

	Limits Limits
}

// Limits bound what a package may bring.
type Limits struct {
	Bytes int64         // of the tree, and of what is fetched for it; default 8 GiB
	Files int           // in the tree; default 100,000
	Time  time.Duration // of all of the fetch; default 30 min
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 8 << 30
	}
	if l.Files == 0 {
		l.Files = 100_000
	}
	if l.Time == 0 {
		l.Time = 30 * time.Minute
	}
	return l
}

// A Request is what a packager names.
type Request struct {
	Package string
	Tag     string // git: tag, branch or commit; CVS: tag; Subversion: trunk, branches/x, or a tag, and perhaps @<revision>
}

// ConfigOf is what a target's file says, with the limits that are ours.
func ConfigOf(s plague.SCM) Config {
	return Config{
		Kind: Kind(s.Kind), Layout: Layout(s.Layout), URL: s.URL, CVSRoot: s.CVSRoot, CVSRSH: s.CVSRSH, Common: s.Common,
		Branch: s.Branch, Lookaside: s.Lookaside, Network: s.Network, Allow: s.Allow,
	}
}
