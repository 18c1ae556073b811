package buildroot

import (
	"strings"
	"testing"
)

func TestMockRoot(t *testing.T) {
	files := []BuilderTarget{
		{Distro: "fedora", Target: "development", Repo: "extras", Arch: "x86_64", Config: "fedora-rawhide-x86_64"},
		{Distro: "fedora", Target: "development", Repo: "extras", Backend: BackendNative},
		{Distro: "alma-linux", Repo: "extras", Config: "/srv/mock/alma.cfg", Backend: BackendMock},
	}
	for _, tt := range []struct {
		distro, repo string
		files        []BuilderTarget
		target, arch string
		want         string // configuration, or part of the error
		backend      string
	}{
		{"fedora", "extras", nil, "fedora-development-extras", "i386", "/etc/mock/fedora-development-i386-extras.cfg", BackendMock},
		{"fedora", "extras", nil, "fedora-4-extras", "ppc", "/etc/mock/fedora-4-ppc-extras.cfg", BackendMock},
		{"fedora", "extras", nil, "fedora-4-extras", "amd64", "/etc/mock/fedora-4-x86_64-extras.cfg", BackendMock},
		{"fedora", "extras", nil, "fedora-4-extras", "ia32e", "/etc/mock/fedora-4-x86_64-extras.cfg", BackendMock},
		{"", "", nil, "fedora-4-extras", "ppc", "/etc/mock/fedora-4-ppc-extras.cfg", BackendMock},
		{"alma-linux", "", nil, "alma-linux-9-extras", "x86_64", "/etc/mock/alma-linux-9-x86_64-extras.cfg", BackendMock},
		{"", "", nil, "alma-linux-9-extras", "x86_64", "/etc/mock/alma-linux-9-x86_64-extras.cfg", BackendMock},
		{"fedora", "extras", nil, "fedora-4-core", "ppc", `repo "extras", and fedora-4-core is none`, BackendMock},
		{"fedora", "extras", nil, "rhel-4-extras", "ppc", `distro "fedora"`, BackendMock},
		{"fedora", "", nil, "fedora-extras", "ppc", "fedora-extras is none", BackendMock},
		{"", "", nil, "fedora", "ppc", "is none", BackendMock},
		{"", "", nil, "..-/../x-y", "ppc", "cannot name a configuration", BackendMock},
		{"", "", nil, "a-b c-d", "ppc", "cannot name a configuration", BackendMock},
		{"", "", nil, "/var/lib/plague/builder/daemon/x-dev-extras", "ppc", "cannot name a configuration", BackendMock},
		{"", "extras", nil, "/srv/x-dev-extras", "ppc", "cannot name a configuration", BackendMock},
		{"fedora", "", nil, "fedora-dev-/etc/passwd", "ppc", "cannot name a configuration", BackendMock},
		{"fedora", "extras", files, "fedora-development-extras", "x86_64", "/etc/mock/fedora-rawhide-x86_64.cfg", BackendMock},
		{"fedora", "extras", files, "fedora-development-extras", "i386", "/etc/mock/fedora-development-i386-extras.cfg", BackendNative},
		{"fedora", "extras", files, "alma-linux-9-extras", "s390x", "/srv/mock/alma.cfg", BackendMock},
		{"fedora", "extras", files, "fedora-5-extras", "i386", "/etc/mock/fedora-5-i386-extras.cfg", BackendMock},
	} {
		r := Roots{Backend: BackendMock, Distro: tt.distro, Repo: tt.repo, Targets: tt.files, Dir: "/etc/mock"}
		got, err := r.Config(tt.target, tt.arch)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%s-*-%s, %s for %s: %s, want %s", tt.distro, tt.repo, tt.target, tt.arch, got, tt.want)
		}
		if got := r.BackendOf(tt.target, tt.arch); got != tt.backend {
			t.Errorf("%s for %s is built by %s, want %s", tt.target, tt.arch, got, tt.backend)
		}
	}
	if (Roots{Backend: BackendNative}).Mocks() || !(Roots{Backend: BackendNative, Targets: files}).Mocks() {
		t.Error("whether mock is needed follows from the builder's backend and those of its targets")
	}
}
