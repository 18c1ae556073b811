package source

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"plague"
	"plague/internal/rpm"
)

// A Plan is a request that has passed every check: what it names can be given to
// the programs that fetch. Only Config.Plan makes one.
type Plan struct {
	Package string
	Tag     string
	URL     string // of the package's repository; CVS: the root

	cfg      Config
	at       location
	revision string // Subversion: asked for behind @; "": the newest
}

// Plan checks config and request. What is refused is a plague.Refusal:
// plague.ErrInvalid or, where an address is not on the list, plague.ErrDenied.
func (c Config) Plan(r Request) (Plan, error) {
	if err := rpm.ValidName(r.Package); err != nil {
		return Plan{}, err
	}
	if err := c.fill(); err != nil {
		return Plan{}, err
	}
	p := Plan{Package: r.Package, Tag: r.Tag, cfg: c}
	if err := p.checkTag(); err != nil {
		return Plan{}, err
	}
	var err error
	if c.Kind == CVS {
		p.URL = c.CVSRoot
		p.at, err = parseCVSRoot(p.URL)
	} else {
		p.URL = p.expand()
		p.at, err = parseURL(p.URL, protocols(c.Kind))
	}
	if err != nil {
		return Plan{}, err
	}
	return p, p.at.permit(c.Kind, c.Allow)
}

var (
	folderPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*$`)
	rshPattern    = regexp.MustCompile(`^/?[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*$`)
)

// fill sets defaults and checks what only an administrator says.
func (c *Config) fill() error {
	if len(protocols(c.Kind)) == 0 {
		return refuse("%q is no source control system", string(c.Kind), "use git, cvs or svn")
	}
	if c.Layout == "" {
		c.Layout = DistGit
		if c.Kind == CVS {
			c.Layout = Make
		}
	}
	if c.Layout != DistGit && c.Layout != Plain && c.Layout != Make {
		return refuse("%q is no layout of sources", string(c.Layout), "use dist-git, plain or make")
	}
	for _, folder := range []string{c.Branch, c.Common} {
		if folder != "" && (!folderPattern.MatchString(folder) || strings.Contains(folder, "..")) {
			return refuse("%q is no folder or module", folder, "use letters, digits and . _ + - /, and begin with a letter or digit")
		}
	}
	if c.CVSRSH != "" && (!rshPattern.MatchString(c.CVSRSH) || strings.Contains(c.CVSRSH, "..")) {
		return refuse("the cvs_rsh %q is no program", c.CVSRSH, "name a program without arguments, such as ssh")
	}
	if c.Lookaside == "" || path.IsAbs(c.Lookaside) {
		if c.Network {
			return plague.Refuse(plague.ErrInvalid, "make_srpm may have the network of a lookaside that is no URL", "name the lookaside's URL, or take the network away")
		}
		return nil
	}
	_, err := parseURL(c.Lookaside, []string{"https", "http"})
	return err
}

// expand puts package and tag, whose characters mean nothing in a URL, into the
// administrator's address.
func (p *Plan) expand() string {
	s := p.cfg.URL
	if strings.Contains(s, "$package") {
		s = strings.ReplaceAll(s, "$package", p.Package)
	} else {
		s = strings.TrimSuffix(s, "/") + "/" + p.Package
	}
	if p.cfg.Kind != SVN {
		return s
	}
	if strings.Contains(s, "$tag") {
		return strings.ReplaceAll(s, "$tag", svnPath(p.Tag))
	}
	return s + "/" + svnPath(p.Tag)
}

func svnPath(tag string) string {
	if tag == "trunk" || strings.HasPrefix(tag, "branches/") {
		return tag
	}
	return "tags/" + tag
}

var (
	// What the build system of 2005 took is more than CVS has.
	cvsTag = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:~+\[\]-]*$`)
	// Of git's own rules (git check-ref-format) the rest is in checkTag.
	gitTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+=@%/-]*$`)
	svnTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+/-]*$`)
	svnRev = regexp.MustCompile(`^[0-9]{1,10}$`)
	commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

const maxTag = 200

// checkTag refuses every tag that a program could take for something else.
func (p *Plan) checkTag() error {
	tag, pattern := p.Tag, cvsTag
	const hint = "tags begin with a letter or digit and go on with letters, digits and . _ + -"
	switch p.cfg.Kind {
	case Git:
		pattern = gitTag
	case SVN:
		pattern = svnTag
		if name, rev, has := strings.Cut(tag, "@"); has {
			if !svnRev.MatchString(rev) {
				return refuse("the revision %q is no number", rev, "write tag@<revision>")
			}
			p.Tag, p.revision, tag = name, rev, name
		}
	}
	if len(tag) > maxTag {
		return refuse("the tag %q is too long", tag, fmt.Sprintf("tags have at most %d characters", maxTag))
	}
	if !pattern.MatchString(tag) { // the words of 2005
		return refuse("The "+p.cfg.Kind.name()+" tag contained an illegal character: %q", tag, hint)
	}
	for part := range strings.SplitSeq(tag, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".") || strings.HasSuffix(part, ".lock") ||
			strings.Contains(part, "..") || strings.HasPrefix(part, "-") {
			return refuse("the tag %q has a part that no tag has", tag, hint)
		}
	}
	return nil
}

// dir is the folder of the tree in which spec or Makefile stand.
func (p *Plan) dir() string {
	if p.cfg.Branch == "" {
		return "."
	}
	return p.cfg.Branch
}

// lookasideURL is where a file of the package is, or nil.
func (p *Plan) lookasideURL(rel string) string {
	return strings.TrimSuffix(p.cfg.Lookaside, "/") + (&url.URL{Path: "/" + rel}).EscapedPath()
}
