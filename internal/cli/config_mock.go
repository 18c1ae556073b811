package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/rpm"
)

// mockOptions are what builder.cfg says of mock.
type mockOptions struct {
	command []string
	prefix  map[string][]string // by arch
	dir     string              // of mock's configurations; "": mock's own
	user    string
	roots   buildroot.Roots
}

const (
	archCommands   = "Arch Commands" // section; a line for each arch
	mockConfigs    = "/etc/mock"
	defaultTargets = "targets"
)

// readMock reads how builds reach mock. Where mock is installed it builds, unless the
// file says otherwise.
func readMock(s *settings, distro, repo string) (m mockOptions, err error) {
	m.command = fields(s.text("builder_cmd", "mock"))
	m.user = s.text("mock_user", "plague-mock")
	m.prefix = map[string][]string{}
	for name, value := range s.set {
		arch, ok := strings.CutPrefix(name, archCommands+".")
		if !ok {
			continue
		}
		if err := rpm.ValidArch(arch); err != nil {
			return m, s.wrong(name, "is for no arch: "+err.Error())
		}
		m.prefix[arch] = fields(value.text)
	}
	m.roots = buildroot.Roots{Distro: distro, Repo: repo, Dir: s.path("mock_configdir", mockConfigs)}
	if m.roots.Dir != mockConfigs {
		m.dir = m.roots.Dir
	}
	switch backend := s.text("backend", ""); backend {
	case buildroot.BackendMock, buildroot.BackendNative:
		m.roots.Backend = backend
	case "null":
		m.roots.Backend = buildroot.BackendNative
		return m, nil
	case "":
		m.roots.Backend = buildroot.BackendNative
		if _, err := exec.LookPath(m.command[0]); err == nil {
			m.roots.Backend = buildroot.BackendMock
		}
	default:
		return m, s.wrong("backend", "is neither mock nor native; null, which builds nothing, is for `plague bench`")
	}
	m.roots.Targets, err = readBuilderTargets(s)
	return m, err
}

// readBuilderTargets reads the target files of a builder, in the order of their names.
func readBuilderTargets(s *settings) ([]buildroot.BuilderTarget, error) {
	dir := s.path("target_configs_dir", defaultTargets)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && s.text("target_configs_dir", "") == "" {
		return nil, nil
	}
	if err != nil {
		return nil, s.wrong("target_configs_dir", "cannot be read: "+err.Error())
	}
	var all []buildroot.BuilderTarget
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".cfg" {
			continue
		}
		t, err := readBuilderTarget(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func readBuilderTarget(file string) (t buildroot.BuilderTarget, err error) {
	s, err := readSettings(file, map[string][]string{"General": {"distro", "target", "repo", "arch", "mock_config", "backend"}})
	if err != nil {
		return t, err
	}
	t = buildroot.BuilderTarget{Distro: s.text("distro", ""), Target: s.text("target", ""), Repo: s.text("repo", ""), Arch: s.text("arch", ""),
		Config: s.text("mock_config", ""), Backend: s.text("backend", "")}
	if !slices.Contains([]string{"", buildroot.BackendMock, buildroot.BackendNative}, t.Backend) {
		return t, s.wrong("backend", "is neither mock nor native")
	}
	if t.Config != "" && t.Backend == buildroot.BackendNative {
		return t, s.wrong("mock_config", "is for nothing: backend is native")
	}
	return t, nil
}

// backend is what the builder builds with by mock; nil: nothing. It checks what mock
// needs while the one who started the builder still looks.
func (m mockOptions) backend(work, builderUser string) (*buildroot.Mock, error) {
	if !m.roots.Mocks() {
		return nil, nil
	}
	const native = ", or set backend = native"
	program, err := exec.LookPath(m.command[0])
	if err != nil {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("backend is mock, and there is no %s (option builder_cmd)", m.command[0]), "dnf install mock"+native)
	}
	if _, err := os.Stat(m.roots.Dir); err != nil {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("mock has no folder of configurations (option mock_configdir): %v", err), "dnf install mock-core-configs"+native)
	}
	b := &buildroot.Mock{Command: append([]string{program}, m.command[1:]...), Prefix: m.prefix, ConfigDir: m.dir, Roots: m.roots,
		Work: mockWork(work), User: m.user}
	if m.user == builderUser {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("mock_user and builder_user are both %s: packages that mock builds run as mock_user, and could read the builder's key", m.user),
			"useradd --system --no-create-home --shell /usr/sbin/nologin --groups mock plague-mock")
	}
	return b, m.account(b)
}

// account finds the account that mock is started as, which has to be in its group.
func (m mockOptions) account(b *buildroot.Mock) error {
	u, err := user.Lookup(m.user)
	if err != nil {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("there is no account %s (option mock_user) for mock to run as", m.user),
			"useradd --system --no-create-home --shell /usr/sbin/nologin --groups mock "+m.user+", or set backend = native")
	}
	group, err := user.LookupGroup("mock")
	if err != nil {
		return plague.Refuse(plague.ErrInvalid, "there is no group mock, which mock lets in", "is mock installed? Else groupadd --system mock")
	}
	ids, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("groups of %s: %w", m.user, err)
	}
	if !slices.Contains(ids, group.Gid) {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the account %s (option mock_user) is not in the group mock, which mock asks for", m.user), "usermod --append --groups mock "+m.user)
	}
	for _, id := range ids {
		gid, err := strconv.Atoi(id)
		if err != nil {
			return err
		}
		b.Groups = append(b.Groups, gid)
	}
	var uidErr, gidErr error
	b.UID, uidErr = strconv.Atoi(u.Uid)
	b.GID, gidErr = strconv.Atoi(u.Gid)
	if b.UID == 0 {
		return plague.Refuse(plague.ErrInvalid, "mock_user must not be root: mock refuses that", "")
	}
	return cmp.Or(uidErr, gidErr)
}
