package buildroot

import (
	"slices"
	"strings"
	"testing"
)

func TestMockCommand(t *testing.T) {
	m := &Mock{Command: []string{"/usr/bin/mock"}, Prefix: map[string][]string{"i686": {"setarch", "i686"}}}
	f := mockFilesIn("/w/7-1", "/etc/mock/lab-12-x86_64-extras.cfg", "tree-1-1.src.rpm")
	const common = "-r /w/7-1/lab-12-x86_64-extras.cfg --uniqueext=plague-7-1 --resultdir=/w/7-1/result"
	for _, tt := range []struct {
		spec   Spec
		target string
		want   string
	}{
		{Spec{ID: "7-1", Arch: "x86_64", Macros: map[string]string{"vendor": "A farm", "dist": ".lab12"}, BuildHost: "b1"}, "x86_64",
			"/usr/bin/mock " + common + " --rebuild --cleanup-after --arch=x86_64 --define _buildhost b1 --define dist .lab12 --define vendor A farm /w/7-1/tree-1-1.src.rpm"},
		{Spec{ID: "7-1", Arch: "i686", Root: "i386"}, "i686",
			"setarch i686 /usr/bin/mock " + common + " --rebuild --cleanup-after --arch=i686 --define _buildhost builder /w/7-1/tree-1-1.src.rpm"},
		{Spec{ID: "7-1", Arch: "noarch", Root: "x86_64"}, "x86_64",
			"/usr/bin/mock " + common + " --rebuild --cleanup-after --arch=x86_64 --define _buildhost builder /w/7-1/tree-1-1.src.rpm"},
		{Spec{ID: "7-1", Arch: "noarch", Root: "x86_64"}, "noarch",
			"/usr/bin/mock " + common + " --rebuild --cleanup-after --arch=x86_64 --target=noarch --define _buildhost builder /w/7-1/tree-1-1.src.rpm"},
	} {
		got, err := m.rebuild(f, tt.spec, tt.target)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%+v:\n%q, %v\nwant %s", tt.spec, got, err, tt.want)
		}
	}
	for _, macros := range []map[string]string{{"a b": "c"}, {"a": "b\nc"}, {"a": "{{ config_opts }}"}, {"a": "{% x %}"}} {
		if got, err := m.rebuild(f, Spec{ID: "7-1", Arch: "x86_64", Macros: macros}, "x86_64"); err == nil {
			t.Errorf("macros %q make %q", macros, got)
		}
	}
	m.ConfigDir = "/srv/mock"
	want := strings.Fields("/usr/bin/mock --configdir=/srv/mock " + common + " --scrub=chroot --scrub=root-cache")
	if got := m.scrub(f, Spec{ID: "7-1", Arch: "x86_64"}, true); !slices.Equal(got, want) {
		t.Errorf("scrub: %q", got)
	}
}

func TestMockConfig(t *testing.T) {
	f := mockFilesIn("/w/7-1", "/etc/mock/lab.cfg", "tree-1-1.src.rpm")
	own := Repo{ID: "plague", URL: "https://farm/repos/lab/x86_64/@7/", CACert: "/etc/ca.pem", Own: true}
	got, err := mockConfig("include('templates/lab.tpl')", f, []Repo{own})
	want := `include('templates/lab.tpl')
config_opts['basedir'] = '/w/7-1/roots'
config_opts['ssl_extra_certs'] = list(config_opts.get('ssl_extra_certs') or []) + ['/w/7-1/ca.pem', '/w/7-1/ca.pem']
config_opts['dnf.conf' if 'dnf.conf' in config_opts else 'yum.conf'] += '\n'.join(['', '', '[plague]', 'name=plague', ` +
		`'baseurl=https://farm/repos/lab/x86_64/@7/', 'enabled=1', 'gpgcheck=0', 'skip_if_unavailable=0', 'metadata_expire=0', 'module_hotfixes=1', 'sslcacert=/w/7-1/ca.pem', ''])
`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for _, url := range []string{"https://farm/'+open('/etc/shadow').read()+'", `https://farm/\`, "https://farm/\nproxy=x", "https://farm/{{ root }}", "https://farm/\u00e9", "ftp://farm/"} {
		if got, err := mockConfig("", f, []Repo{{ID: "plague", URL: url}}); err == nil {
			t.Errorf("%q makes %s", url, got)
		}
	}
	if got, err := mockConfig("", mockFilesIn("/w/a'b", "lab.cfg", "x"), nil); err == nil {
		t.Errorf("a folder with a quote makes %s", got)
	}
}
