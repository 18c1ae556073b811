package buildroot

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"plague/internal/rpm"
)

// mockFiles are the places of one build, all below its folder.
type mockFiles struct {
	dir    string // root's; holds the rest
	config string // -r of this build
	result string // --resultdir, mock's own
	roots  string // where mock makes buildroots
	output string // what mock says
	ca     string // certificate of the own repository's server
	srpm   string
}

func mockFilesIn(dir, config, srpm string) mockFiles {
	in := func(name string) string { return filepath.Join(dir, name) }
	return mockFiles{dir: dir, config: in(filepath.Base(config)), result: in("result"), roots: in("roots"), output: in("output"),
		ca: in("ca.pem"), srpm: in(srpm)}
}

// mockConfig is the configuration of one build: an administrator's, with a place for
// the buildroot that is the build's own, and the farm's repository. It is Python, as
// all of mock's are; what is added is quoted or refused. It holds the administrator's
// and does not include it, for mock changes backslashes in what is included.
func mockConfig(base string, f mockFiles, repos []Repo) (string, error) {
	quoted, err := pythons(f.roots, f.ca)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\nconfig_opts['basedir'] = %s\n", base, quoted[0])
	for _, r := range repos {
		if err := r.valid(); err != nil {
			return "", err
		}
		lines := []string{"", "", "[" + r.ID + "]", "name=" + r.ID, "baseurl=" + r.URL, "enabled=1", "gpgcheck=0",
			"skip_if_unavailable=0", "metadata_expire=0", "module_hotfixes=1"}
		if r.CACert != "" {
			// dnf reads it on this machine, or in mock's bootstrap buildroot, to which mock copies it
			lines = append(lines, "sslcacert="+f.ca)
			fmt.Fprintf(&text, "config_opts['ssl_extra_certs'] = list(config_opts.get('ssl_extra_certs') or []) + [%s, %s]\n", quoted[1], quoted[1])
		}
		all, err := pythons(lines...)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "config_opts['dnf.conf' if 'dnf.conf' in config_opts else 'yum.conf'] += '\\n'.join([%s, ''])\n", strings.Join(all, ", "))
	}
	return text.String(), nil
}

// pythons are texts as Python has them between quotes. mock takes values of its
// configuration for templates of Jinja, too.
func pythons(texts ...string) ([]string, error) {
	var all []string
	for _, s := range texts {
		bad := func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`'"\`, r) }
		if strings.ContainsFunc(s, bad) || template(s) {
			return nil, fmt.Errorf("%q cannot stand in a configuration of mock", s)
		}
		all = append(all, "'"+s+"'")
	}
	return all, nil
}

func template(s string) bool {
	return strings.Contains(s, "{{") || strings.Contains(s, "{%") || strings.Contains(s, "{#")
}

// argv is mock's command line, up to what it shall do. What an arch needs before it,
// such as setarch, comes first, as in 2005.
func (m *Mock) argv(f mockFiles, s Spec) []string {
	args := slices.Concat(m.Prefix[s.Arch], m.Command)
	if m.ConfigDir != "" {
		args = append(args, "--configdir="+m.ConfigDir)
	}
	return append(args, "-r", f.config, "--uniqueext="+mockExt(s.ID), "--resultdir="+f.result)
}

// mockExt is the --uniqueext of a build.
func mockExt(id string) string { return "plague-" + id }

// rebuild is the command line that builds.
func (m *Mock) rebuild(f mockFiles, s Spec, target string) ([]string, error) {
	arch := target
	if target == rpm.Noarch {
		arch = s.root() // mock takes it for the machine that programs see
	}
	args := append(m.argv(f, s), "--rebuild", "--cleanup-after", "--arch="+arch)
	if target == rpm.Noarch {
		args = append(args, "--target="+rpm.Noarch)
	}
	defines, err := s.defines()
	if err != nil {
		return nil, err
	}
	for _, d := range defines {
		if template(d) {
			return nil, fmt.Errorf("macro %q: mock would take its value for a template", d)
		}
	}
	args = append(args, "--define", "_buildhost "+s.host())
	return append(append(args, defines...), f.srpm), nil
}

// scrub is the command line that removes what a killed build left; of the cache, too,
// when it was being written.
func (m *Mock) scrub(f mockFiles, s Spec, cache bool) []string {
	args := append(m.argv(f, s), "--scrub=chroot")
	if cache {
		args = append(args, "--scrub=root-cache")
	}
	return args
}
