package cli

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"plague"
)

func configFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func someOptions() map[string][]string {
	return map[string][]string{"Server": {"builders", "server_work_dir", "use_srpm_not_cvs", "targets", "ui_port"}, "Repositories": nil}
}

func TestReadSettings(t *testing.T) {
	for _, tt := range []struct{ name, file, text, option, want string }{
		{"plain", "a.cfg", "[Server]\nui_port = 8887\n", "ui_port", "8887"},
		{"colon", "a.cfg", "[Server]\nui_port: 8887\n", "ui_port", "8887"},
		{"comments", "a.cfg", "# one\n[Server]\n; two\nui_port = 8887 # three\n", "ui_port", "8887"},
		{"a # inside a word", "a.cfg", "[Server]\nserver_work_dir = /srv/a#b\n", "server_work_dir", "/srv/a#b"},
		{"a section of free names", "a.cfg", "[Repositories]\nlab = https://example.com/$arch/\n", "Repositories.lab", "https://example.com/$arch/"},
		{"CONFIG.py string", "CONFIG.py", "config_opts['server_work_dir'] = '/srv/plague'\n", "server_work_dir", "/srv/plague"},
		{"CONFIG.py True", "CONFIG.py", "# c\nconfig_opts[\"use_srpm_not_cvs\"] = True # really\n", "use_srpm_not_cvs", "True"},
		{"CONFIG.py by its text", "plague.conf", "config_opts['ui_port'] = 8887", "ui_port", "8887"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := readSettings(configFile(t, tt.file, tt.text), someOptions())
			if err != nil {
				t.Fatal(err)
			}
			if got := s.text(tt.option, ""); got != tt.want {
				t.Errorf("%s is %q, want %q", tt.option, got, tt.want)
			}
		})
	}
}

func TestReadSizes(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1": 1, "500": 500, "2k": 2048, "3M": 3 << 20, "16G": 16 << 30, "8388607T": 8388607 << 40} {
		s, err := readSettings(configFile(t, "a.cfg", "[Server]\nui_port = "+text+"\n"), someOptions())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.bytes("ui_port"); err != nil || n != want {
			t.Errorf("%q is %d, %v, want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "1.5G", "G", "1GG", "1GB", "many", "8388608T", "99999999999999999999"} {
		s, err := readSettings(configFile(t, "a.cfg", "[Server]\nui_port = "+text+"\n"), someOptions())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.bytes("ui_port"); err == nil || !strings.Contains(err.Error(), ":2: ui_port") {
			t.Errorf("%q is %d, %v, want an error with its line", text, n, err)
		}
	}
}

func TestReadSettingsLists(t *testing.T) {
	want := []string{"https://127.0.0.1:8888 builder1", "https://127.0.0.1:8889 builder2"}
	for name, text := range map[string]string{
		"a.cfg":     "[Server]\nbuilders = https://127.0.0.1:8888 builder1\n  https://127.0.0.1:8889 builder2\n",
		"b.cfg":     "[Server]\nbuilders = https://127.0.0.1:8888 builder1, https://127.0.0.1:8889 builder2\n",
		"CONFIG.py": "config_opts['builders'] = ['https://127.0.0.1:8888 builder1',  # the first\n    'https://127.0.0.1:8889 builder2', ]\n",
	} {
		s, err := readSettings(configFile(t, name, text), someOptions())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := s.set["builders"].list; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	s, err := readSettings(configFile(t, "CONFIG.py", "config_opts['targets'] = {'fedora-development-extras': ['i386', 'x86_64'],\n 'fedora-4-extras': []}\n"), someOptions())
	if err != nil || !reflect.DeepEqual(s.set["targets"].list, []string{"fedora-development-extras", "fedora-4-extras"}) {
		t.Errorf("a dictionary: %q, %v", s.set["targets"].list, err)
	}
}

// TestReadSettingsRefuses: every refusal says where, and what was probably
// meant. A CONFIG.py is never executed.
func TestReadSettingsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, file, text, at, says string }{
		{"unknown option", "a.cfg", "[Server]\n\nserver_workdir = /srv\n", "a.cfg:3:", "did you mean server_work_dir?"},
		{"unknown section", "a.cfg", "[Servr]\nui_port = 1\n", "a.cfg:1:", "did you mean Server?"},
		{"option of no section", "a.cfg", "ui_port = 1\n", "a.cfg", "unknown section"},
		{"no file", "", "", "no such file", "-c"},
		{"CONFIG.py unknown option", "CONFIG.py", "config_opts['ui_prot'] = 1\n", "CONFIG.py:1:", "did you mean ui_port?"},
		{"CONFIG.py call", "CONFIG.py", "\nconfig_opts['ui_port'] = int('8887')\n", "CONFIG.py:2:", "not a literal"},
		{"CONFIG.py import", "CONFIG.py", "config_opts['ui_port'] = 1\nimport os\n", "CONFIG.py:2:", "not an assignment"},
		{"CONFIG.py sum", "CONFIG.py", "config_opts['ui_port'] = 1 + 1\n", "CONFIG.py:1:", "more than a literal"},
		{"CONFIG.py string without end", "CONFIG.py", "config_opts['server_work_dir'] = '/srv\n", "CONFIG.py:1:", "does not end"},
		{"CONFIG.py list without end", "CONFIG.py", "config_opts['builders'] = ['a',\n", "CONFIG.py", "does not end"},
		{"CONFIG.py depth", "CONFIG.py", "config_opts['builders'] = [[[[[['a']]]]]]\n", "CONFIG.py", "value is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "gone.cfg")
			if tt.file != "" {
				file = configFile(t, tt.file, tt.text)
			}
			_, err := readSettings(file, someOptions())
			if !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), tt.at) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q and %q", err, tt.at, tt.says)
			}
		})
	}
}

func TestParseBuilder(t *testing.T) {
	for _, tt := range []struct{ line, url, name, says string }{
		{"https://127.0.0.1:8888 builder1", "https://127.0.0.1:8888", "builder1", ""},
		{"https://builder1.example.com", "https://builder1.example.com:8888", "builder1.example.com", ""},
		{"https://[::1]:8888/ b", "https://[::1]:8888", "b", ""},
		{"http://127.0.0.1:8888 builder1", "", "", "https:// only"},
		{"127.0.0.1:8888", "", "", "https"},
		{"https://127.0.0.1:8888/RPC2 b", "", "", "neither https://host:port nor active://name"},
		{"active://builder1", "active://builder1", "builder1", ""},
		{" active://Builder_1.example.com ", "active://Builder_1.example.com", "Builder_1.example.com", ""},
		{"active://builder1:8888", "", "", "name in the certificate"},
		{"active://builder1 builder2", "", "", "name in the certificate"},
		{"active://", "", "", "name in the certificate"},
	} {
		b, err := parseBuilder(tt.line)
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q: %v", tt.line, err)
			}
			continue
		}
		if err != nil || b.url != tt.url || b.name != tt.name {
			t.Errorf("%q: %+v, %v", tt.line, b, err)
		}
	}
}

func TestReadTargets(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The example of 2005 (0.4), and one of ours.
	put("fedora.cfg", "[General]\ndistro = fedora\ntarget = 4\nrepo = core\ntesting = yes\nrepo_script =\n[Arches]\nbase_arches = i386 x86_64 ppc\noptional_arches = i686 noarch\n"+
		"[Aliases]\ncvs_alias =\nuser_aliases = fc4\n[Additional Packages Arches]\nkernel = i686\n[CVS]\ncvs_root = :pserver:anonymous@cvs.example.com:/cvs/extras\ncvs_rsh =\n")
	put("lab.cfg", "[General]\ndistro=lab\ntarget=12\nrepo=extras\n[Arches]\nbase_arches=x86_64\n[Aliases]\nuser_aliases=devel\n[Repositories]\nlab = file:///srv/$arch\n[Macros]\ndist = .lab12\n")
	ts, err := readTargets(dir, nil)
	if err != nil || len(ts) != 2 {
		t.Fatalf("%d targets, %v", len(ts), err)
	}
	fc4 := ts[0]
	if fc4.String() != "fedora-4-core" || !fc4.Answers("fc4") || !fc4.Testing || !reflect.DeepEqual(fc4.BaseArches, []string{"i386", "x86_64", "ppc"}) ||
		!reflect.DeepEqual(fc4.Additional["kernel"], []string{"i686"}) {
		t.Errorf("the example of 2005: %+v", fc4)
	}
	if want := (plague.SCM{Kind: "cvs", CVSRoot: ":pserver:anonymous@cvs.example.com:/cvs/extras", Common: "common", Branch: "4", Allow: fields("")}); fc4.SCM == nil || !reflect.DeepEqual(*fc4.SCM, want) {
		t.Errorf("the SCM of 2005: %+v", fc4.SCM)
	}
	if ts[1].SCM != nil {
		t.Errorf("an SCM that nobody named: %+v", ts[1].SCM)
	}
	if lab := ts[1]; lab.Base[0].For("x86_64") != "file:///srv/x86_64" || lab.Macros["dist"] != ".lab12" || lab.Buildroot[0] != "@buildsys-build" {
		t.Errorf("ours: %+v", lab)
	}
	if one, err := readTargets(dir, []string{"lab-12-extras"}); err != nil || len(one) != 1 {
		t.Errorf("selected: %v, %v", one, err)
	}
	if _, err := readTargets(dir, []string{"lab-12-extra"}); err == nil || !strings.Contains(err.Error(), "did you mean lab-12-extras?") {
		t.Errorf("a target without a file: %v", err)
	}
	put("other.cfg", "[General]\ndistro=lab\ntarget=13\nrepo=extras\n[Arches]\nbase_arches=x86_64\n[Aliases]\nuser_aliases=devel\n")
	if _, err := readTargets(dir, nil); err == nil || !strings.Contains(err.Error(), "devel names both") {
		t.Errorf("one alias for two targets: %v", err)
	}
	for script, why := range map[string]string{"sync.sh": "absolute path", "/nowhere/sync.sh --all": "no such file", filepath.Join(dir, "lab.cfg"): "chmod +x", dir: "names no program"} {
		put("other.cfg", "[General]\ndistro=lab\ntarget=13\nrepo=extras\nrepo_script="+script+"\n[Arches]\nbase_arches=x86_64\n")
		if _, err := readTargets(dir, nil); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "other.cfg:5: repo_script") {
			t.Errorf("repo_script = %s: %v", script, err)
		}
	}
	for scm, why := range map[string]string{
		"type=git": "Refused", "url=https://git.example.com/": "", "type=bzr\nurl=https://example.com/": "no source control system", "git_root=http://u:p@example.com/": "other.cfg:8",
		"url=https://git.example.com/\nlookaside_network=yes": "lookaside", "url=https://git.example.com/\nallow=https://other.example.com/": "other.cfg:8",
	} {
		put("other.cfg", "[General]\ndistro=lab\ntarget=13\nrepo=extras\n[Arches]\nbase_arches=x86_64\n[SCM]\n"+scm+"\n")
		if _, err := readTargets(dir, nil); (err == nil) != (why == "") || err != nil && why != "Refused" && !strings.Contains(err.Error(), why) {
			t.Errorf("[SCM] %s: %v", scm, err)
		}
	}
	for arches, why := range map[string]string{
		"base_arches=\n": "names no arch", "base_arches=x86_64 noarch\n": "6: base_arches = x86_64 noarch has noarch, which is no", "base_arches=x86_64 x86-64\n": "x86-64",
		"base_arches=x86_64 x86_64\n": "twice", "base_arches=x86_64\noptional_arches=i686\n": "no base arch is of its family",
		"base_arches=x86_64\n[Additional Packages Arches]\nkernel=i686\n": "other.cfg:8", "base_arches=x86_64\noptional_arches=ia32e noarch\n": "",
	} {
		put("other.cfg", "[General]\ndistro=lab\ntarget=13\nrepo=extras\n[Arches]\n"+arches)
		if _, err := readTargets(dir, nil); (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("[Arches] %s: %v", arches, err)
		}
	}
	for constraint, why := range map[string]string{
		"kernel = labels:ssd,big memory:16G disk:100G": "", "kernel = memory:16": `other.cfg:8: Constraints.kernel = memory:16 is no constraint: "16" is no size`, "kernel = ssd": "labels:…", "kernel =": "nothing is needed",
	} {
		put("other.cfg", "[General]\ndistro=lab\ntarget=13\nrepo=extras\n[Arches]\nbase_arches=x86_64\n[Constraints]\n"+constraint+"\n")
		ts, err := readTargets(dir, nil)
		if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("[Constraints] %s: %v", constraint, err)
		}
		if want := (plague.Needs{Labels: []string{"big", "ssd"}, Memory: 16 << 30, Disk: 100 << 30}); err == nil && !reflect.DeepEqual(ts[2].Constraints["kernel"], want) {
			t.Errorf("[Constraints] %s: %+v", constraint, ts[2].Constraints)
		}
	}
	put("other.cfg", "[General]\ndistro=../x\ntarget=13\nrepo=extras\n[Arches]\nbase_arches=x86_64\n")
	if _, err := readTargets(dir, nil); err == nil || !strings.Contains(err.Error(), "does not name a target") {
		t.Errorf("a path as a name: %v", err)
	}
}

func FuzzReadSettings(f *testing.F) {
	f.Add("a.cfg", "[Server]\nui_port = 8887\n")
	f.Add("CONFIG.py", "config_opts['builders'] = ['a', {'b': 1}]\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		file := "a.cfg"
		if strings.HasSuffix(name, ".py") {
			file = "CONFIG.py"
		}
		path := filepath.Join(t.TempDir(), file)
		if os.WriteFile(path, []byte(text), 0o644) != nil {
			t.Skip()
		}
		s, err := readSettings(path, someOptions())
		if err != nil {
			return
		}
		for _, option := range s.names() {
			if section, _, dotted := strings.Cut(option, "."); dotted && section == "Repositories" {
				continue
			}
			if !strings.Contains("builders server_work_dir use_srpm_not_cvs targets ui_port", option) {
				t.Errorf("option %q was read", option)
			}
		}
	})
}
