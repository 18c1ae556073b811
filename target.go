package plague

import (
	"path"
	"slices"
	"strings"
)

// A Target is what users build for: distro-target-repo, such as
// fedora-development-extras. One file of the server's configuration each
// describes it; nothing changes it while the server runs but a reload.
type Target struct {
	Distro  string
	Target  string
	Repo    string
	Testing bool

	BaseArches     []string
	OptionalArches []string            // built only for packages that ask for them
	Additional     map[string][]string // package → arches beyond the base, the administrator's choice
	Constraints    map[string]Needs    // package → what its builders must have

	CVSAlias    string   // branch directory in the SCM where it differs from Target
	UserAliases []string // what users may type instead, such as devel

	Base      []BaseRepo // repositories a buildroot is made of
	Buildroot []string   // what every buildroot has, such as @buildsys-build
	Macros    map[string]string

	SCM *SCM // where sources are fetched from; nil: nowhere, it takes SRPMs only

	RepoScript string // run after each publish with the target's name
}

// A BaseRepo is a repository that buildroots of a target are made of. $arch in
// its URL stands for the arch of the buildroot.
type BaseRepo struct {
	ID  string
	URL string
}

// For gives the URL for one arch.
func (r BaseRepo) For(arch string) string { return strings.ReplaceAll(r.URL, "$arch", arch) }

// String is the target's name everywhere: distro-target-repo.
func (t *Target) String() string { return t.Distro + "-" + t.Target + "-" + t.Repo }

// Answers says whether a user who types name means this target.
func (t *Target) Answers(name string) bool {
	return name == t.String() || slices.Contains(t.UserAliases, name)
}

// TakesTarget says whether a builder that names patterns, such as
// fedora-*-extras, takes jobs for a target. No pattern: it takes any.
func TakesTarget(patterns []string, target string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, target)
		return err == nil && ok
	})
}
