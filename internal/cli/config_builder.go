package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/rpm"
)

const (
	defaultBuilderConfig = "/etc/plague/builder/builder.cfg"
	defaultBuilderPort   = 8888
)

// builderConfig is what /etc/plague/builder/builder.cfg says.
type builderConfig struct {
	file       string
	keyAndCert string
	caCert     string
	serverCert string   // the server's plain certificate: needed only when that has no role
	servers    []string // https://host:port of the servers' builders' doors
	active     bool     // it dials them, and waits nowhere
	distro     string   // with repo: it builds for targets of these only
	repo       string
	user       string // its unprivileged part runs as this account
	workDir    string
	address    string
	port       int
	slots      int
	arches     []string
	emulated   []string // arches that an emulator of this machine runs
	targets    []string
	labels     []string // for constraints of targets
	firstUID   int
	tls12      bool
	onStop     string // keep, hand_back, or empty: goingDown says
	null       bool   // backend = null: nothing is built, for `plague bench`
	mock       mockOptions
}

func builderOptions() map[string][]string {
	return map[string][]string{
		"Builder": {
			"builder_key_and_cert", "ca_cert", "server_cert", "server", "mode", "distro", "repo", "builder_user", "work_dir", "address", "port",
			"slots", "arches", "emulated_arches", "targets", "labels", "first_uid", "tls12", "backend", "on_stop",
			"builder_cmd", "mock_configdir", "mock_user", "target_configs_dir",
		},
		archCommands: nil,
	}
}

// readBuilderConfig reads a builder's configuration.
func readBuilderConfig(file string) (*builderConfig, error) {
	s, err := readSettings(file, builderOptions())
	if err != nil {
		return nil, err
	}
	c := &builderConfig{file: file}
	if c.keyAndCert, err = builderKey(s); err != nil {
		return nil, err
	}
	if c.caCert, err = s.need("ca_cert", "certs/buildsystem_ca_cert.pem", "the CA of the build system, the same as the server's ca_cert"); err != nil {
		return nil, err
	}
	c.serverCert = s.path("server_cert", "")
	if err := c.readServers(s); err != nil {
		return nil, err
	}
	c.distro, c.repo = s.text("distro", ""), s.text("repo", "")
	c.user = s.text("builder_user", "plague-builder")
	c.workDir = s.path("work_dir", "/var/lib/plague/builder")
	c.address = s.text("address", "127.0.0.1")
	if c.port, err = s.number("port", defaultBuilderPort); err != nil {
		return nil, err
	}
	if c.slots, err = s.number("slots", max(1, runtime.NumCPU()/2)); err != nil {
		return nil, err
	}
	if c.slots < 1 || c.slots > 1000 {
		return nil, s.wrong("slots", "is not between 1 and 1000")
	}
	if c.firstUID, err = s.number("first_uid", 60100); err != nil {
		return nil, err
	}
	if c.firstUID < 1000 {
		return nil, s.wrong("first_uid", "is below 1000: builds must not run as an account of the system")
	}
	if c.firstUID > 1<<31-1001 {
		return nil, s.wrong("first_uid", "is so large that no uids follow it")
	}
	if c.tls12, err = s.yes("tls12", false); err != nil {
		return nil, err
	}
	if c.onStop = s.text("on_stop", ""); c.onStop != "" && c.onStop != onStopKeep && c.onStop != onStopHandBack {
		return nil, s.wrong("on_stop", "is neither keep nor hand_back")
	}
	c.null = s.text("backend", "") == "null"
	c.arches = fields(s.text("arches", ""))
	if c.emulated, err = readEmulated(s); err != nil {
		return nil, err
	}
	c.targets = fields(s.text("targets", ""))
	if c.labels, err = readLabels(s); err != nil {
		return nil, err
	}
	if len(c.targets) == 0 && (c.distro != "" || c.repo != "") {
		// As in 2005: distro and repo are the builder's, the target between
		// them comes with the orders.
		c.targets = []string{cmp.Or(c.distro, "*") + "-*-" + cmp.Or(c.repo, "*")}
	}
	c.mock, err = readMock(s, c.distro, c.repo)
	return c, err
}

// readServers reads which servers there are, and who dials whom.
func (c *builderConfig) readServers(s *settings) error {
	list := s.set["server"].list
	if len(list) == 0 {
		list = []string{"https://127.0.0.1:8886"}
	}
	for _, text := range list {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: server = %q is not https://host:port of the server's files_port", c.file, text), "for example server = https://buildsys.example.com:8886")
		}
		c.servers = append(c.servers, "https://"+u.Host)
	}
	switch mode := s.text("mode", "passive"); mode {
	case "passive":
	case "active":
		c.active = true
	default:
		return s.wrong("mode", "is neither passive, where the server calls the builder, nor active, where the builder dials in")
	}
	return nil
}

// readEmulated reads emulated_arches. What needs no emulator is not among them.
func readEmulated(s *settings) ([]string, error) {
	all := fields(s.text("emulated_arches", ""))
	for i, arch := range all {
		switch err := rpm.ValidArch(arch); {
		case err != nil:
			return nil, s.wrong("emulated_arches", "names no arch: "+err.Error())
		case !buildroot.Emulated(arch):
			return nil, s.wrong("emulated_arches", fmt.Sprintf("has %s, which this machine runs itself: it belongs into arches", arch))
		case slices.Contains(all[:i], arch):
			return nil, s.wrong("emulated_arches", "names "+arch+" twice")
		}
	}
	return all, nil
}

// builderKey finds the builder's key and certificate: by default <hostname>.pem,
// as in 2005.
func builderKey(s *settings) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	fallback := filepath.Join("certs", host+".pem")
	p := s.path("builder_key_and_cert", fallback)
	if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) && s.text("builder_key_and_cert", "") == "" {
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s: builder_key_and_cert is not set, and there is no %s", s.file, p),
			fmt.Sprintf("rename the file that certhelper made: mv %s/builder1_key_and_cert.pem %s", filepath.Dir(p), p))
	}
	return s.need("builder_key_and_cert", fallback, "the builder's key and certificate in one file")
}

// nativeArches are what this machine builds without emulation, best first.
func nativeArches() []string {
	switch runtime.GOARCH {
	case "amd64":
		return []string{"x86_64"}
	case "arm64":
		return []string{"aarch64"}
	case "386":
		return []string{"i686", "i386"}
	}
	return []string{rpm.Family(runtime.GOARCH)}
}
