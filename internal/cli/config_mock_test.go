package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plague/internal/buildroot"
)

// builderFiles writes a builder's configuration with further options, and files beside it.
func builderFiles(t *testing.T, options string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"key.pem": "", "ca.pem": "",
		"builder.cfg": "[Builder]\nbuilder_key_and_cert = key.pem\nca_cert = ca.pem\nserver = https://127.0.0.1:8886\n" + options + "\n"}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "builder.cfg")
}

// TestBackendOption: mock builds where it is installed, if the file says nothing else.
func TestBackendOption(t *testing.T) {
	for _, tt := range []struct {
		options string
		target  string // of a target file
		want    string // backend, or part of the error
	}{
		{"builder_cmd = /nonexistent/mock", "", "native"},
		{"builder_cmd = /bin/true", "", "mock"},
		{"builder_cmd = /bin/true --further words", "", "mock"},
		{"builder_cmd = /bin/true\nbackend = native", "", "native"},
		{"backend = mock", "", "mock"},
		{"backend = null", "", "native"},
		{"backend = moc", "", "backend = moc is neither mock nor native"},
		{"backend = native", "[General]\ndistro = lab\nbackend = mock\n", "mock"},
		{"backend = mock", "[General]\ntarget = 12\nbackend = native\n", "native"},
		{"backend = mock", "[General]\narch = ppc\nbackend = native\n", "mock"},
		{"backend = native", "[General]\nbackend = nul\n", "backend = nul is neither"},
		{"backend = native", "[General]\nbackend = native\nmock_config = lab\n", "mock_config = lab is for nothing"},
		{"backend = native", "[General]\nmock_confg = lab\n", "did you mean mock_config"},
		{"target_configs_dir = none", "", "target_configs_dir = none cannot be read"},
		{"[Arch Commands]\n../x = setarch", "", "is for no arch"},
	} {
		files := map[string]string{}
		if tt.target != "" {
			files["targets/lab.cfg"] = tt.target
		}
		c, err := readBuilderConfig(builderFiles(t, tt.options, files))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = c.mock.roots.BackendOf("lab-12-extras", "x86_64")
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%q with target %q: %s, want %s", tt.options, tt.target, got, tt.want)
		}
	}
}

// TestMockOptions: what the file says of mock reaches it, and what mock lacks is said
// with the remedy before anything is built.
func TestMockOptions(t *testing.T) {
	dir := t.TempDir()
	c, err := readBuilderConfig(builderFiles(t, "backend = mock\nbuilder_cmd = /bin/true --quiet\nmock_user = root\nmock_configdir = "+dir+
		"\ndistro = lab\nrepo = extras\n\n[Arch Commands]\ni686 = setarch i686\nppc = ppc32", nil))
	if err != nil {
		t.Fatal(err)
	}
	m := c.mock
	if got := strings.Join(append(m.prefix["i686"], m.command...), " "); got != "setarch i686 /bin/true --quiet" || m.prefix["ppc"][0] != "ppc32" || m.dir != dir {
		t.Errorf("%+v", m)
	}
	if file, err := m.roots.Config("lab-12-extras", "i386"); err != nil || file != dir+"/lab-12-i386-extras.cfg" {
		t.Errorf("%s, %v", file, err)
	}
	for _, tt := range []struct {
		change func(m *mockOptions)
		want   string
	}{
		{func(m *mockOptions) { m.command = []string{"no-such-mock"} }, "no no-such-mock (option builder_cmd); dnf install mock"},
		{func(m *mockOptions) { m.roots.Dir = dir + "/none" }, "option mock_configdir"},
		{func(m *mockOptions) { m.user = "no-such-account" }, "no account no-such-account (option mock_user) for mock to run as; useradd --system"},
		{func(m *mockOptions) { m.user = "plague-builder" }, "mock_user and builder_user are both plague-builder"},
		{func(m *mockOptions) { m.user = "nobody" }, "mock"}, // neither in the group, nor the group there
	} {
		changed := m
		tt.change(&changed)
		if b, err := changed.backend(dir, "plague-builder"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v, %v; want %q", b, err, tt.want)
		}
	}
	m.roots.Backend = buildroot.BackendNative
	if b, err := m.backend(dir, "plague-builder"); b != nil || err != nil {
		t.Errorf("a builder without mock has %+v, %v", b, err)
	}
}
