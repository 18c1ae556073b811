package cli

import (
	"cmp"
	"strings"

	"plague"
	"plague/internal/source"
)

// scmOptions are those of a target's section [SCM].
func scmOptions() []string {
	return []string{"type", "url", "git_root", "layout", "branch", "common", "lookaside", "lookaside_network", "allow", "cvs_root", "cvs_rsh"}
}

// readSCM reads where a target's sources come from: [SCM], or the cvs_root and cvs_rsh
// of 2005 in [CVS], with the layout of then. nil: nowhere.
func readSCM(s *settings, t *plague.Target) (*plague.SCM, error) {
	scm := plague.SCM{
		Kind: s.text("type", ""), Layout: s.text("layout", ""), URL: cmp.Or(s.text("url", ""), s.text("git_root", "")),
		CVSRoot: s.text("cvs_root", ""), CVSRSH: s.text("cvs_rsh", ""), Common: s.text("common", ""), Branch: s.text("branch", ""),
		Lookaside: s.text("lookaside", ""), Allow: fields(s.text("allow", "")),
	}
	if scm.Kind == "" && scm.URL == "" && scm.CVSRoot == "" {
		return nil, nil
	}
	if scm.Kind == "" {
		scm.Kind = string(source.Git)
		if scm.CVSRoot != "" {
			scm.Kind = string(source.CVS)
		}
	}
	if scm.Kind == string(source.CVS) { // a package's branches are folders
		scm.Branch = cmp.Or(scm.Branch, t.CVSAlias, t.Target)
		if s.text("type", "") == "" { // of 2005, where common was beside every package
			scm.Common = cmp.Or(scm.Common, "common")
		}
	}
	var err error
	if scm.Network, err = s.yes("lookaside_network", false); err != nil {
		return nil, err
	}
	if err := checkSource(scm, "package", "tag"); err != nil {
		for _, name := range []string{"url", "git_root", "cvs_root"} {
			if s.text(name, "") != "" {
				return nil, s.wrong(name, "cannot be a source of packages: "+strings.TrimSpace(err.Error()))
			}
		}
		return nil, err
	}
	return &scm, nil
}

// checkSource refuses what cannot be a package and a tag of an SCM.
func checkSource(scm plague.SCM, pkg, tag string) error {
	_, err := source.ConfigOf(scm).Plan(source.Request{Package: pkg, Tag: tag})
	return err
}
