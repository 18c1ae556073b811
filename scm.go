package plague

// SCM is where a target's sources come from: its section [SCM], or [CVS] of 2005.
// The room source says what each member means, and checks it.
type SCM struct {
	Kind      string // git, cvs or svn
	Layout    string // dist-git, plain or make; empty: make for CVS, else dist-git
	URL       string // of git and Subversion
	CVSRoot   string
	CVSRSH    string
	Common    string   // module beside each package's
	Branch    string   // folder below the package's
	Lookaside string   // folder or URL of the files that a package's list sources names
	Network   bool     // make_srpm may reach the lookaside
	Allow     []string // prefixes of addresses that may be asked
}

// Pinned is what was fetched for a tag, so that it can be told, and fetched again.
type Pinned struct {
	Kind     string // git, cvs or svn
	URL      string // of the package's repository; CVS: the root
	Revision string // git: commit id; Subversion: revision; CVS, which has none: the tag
	Tree     string // SHA-256 of the tree's names, modes and contents, hexadecimal
}
