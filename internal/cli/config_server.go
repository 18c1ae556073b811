package cli

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/notify"
	"plague/internal/pki"
	"plague/internal/server"
)

// serverConfig is what /etc/plague/server/server.cfg says.
type serverConfig struct {
	file       string
	keyAndCert string
	caCert     string
	uiCACert   string
	workDir    string // server_work_dir: what any web server may serve
	dataDir    string // private: artifacts
	userdb     string // the farm's database: a path or a postgres:// DSN
	targets    []plague.Target
	builders   []builderAddress
	listen     string // argument over address and uiPort; empty: none
	address    string // to listen on
	hostname   string // by which builders and users reach it
	uiPort     int
	filesPort  int
	webPort    int
	tls12      bool
	signer     string // socket of `plague signer`; empty: nobody joins by a token
	lease      time.Duration
	takes      server.Takes
	srpmDir    string
	maxSRPM    int64 // bytes; 0: the default
	quota      int64 // bytes of uploads of one user that no job uses; 0: the default
	email      notify.Email
	hooks      []notify.Hook
	plain      bool // metadata = plain: repositories that no dnf can use, for `plague bench`
}

// builderAddress is one line of the option builders.
type builderAddress struct {
	url  string // https://host:port, or active://name of one that dials in
	name string // in its certificate
	// joined: by a token, and not in the option builders
	joined bool
}

// activeScheme begins the address of a builder that has none: it dials in.
const activeScheme = "active://"

func (b builderAddress) active() bool { return strings.HasPrefix(b.url, activeScheme) }

const defaultServerConfig = "/etc/plague/server/server.cfg"

func serverOptions() map[string][]string {
	return map[string][]string{
		"Server": {
			"server_key_and_cert", "ca_cert", "ui_ca_cert", "server_work_dir", "data_dir", "targets", "target_configs_dir",
			"builders", "use_srpm_not_cvs", "use_cvs", "userdb", "address", "hostname", "ui_port", "files_port", "web_port", "tls12", "lease", "signer",
			"srpm_dir", "max_srpm", "upload_quota", "metadata",
		},
		"Email": notify.EmailOptions(),
		"Hooks": nil,
	}
}

// readServerConfig reads the server's configuration and checks what can be
// checked without opening a door.
func readServerConfig(file string) (*serverConfig, error) {
	s, err := readSettings(file, serverOptions())
	if err != nil {
		return nil, err
	}
	c := &serverConfig{file: file}
	if c.keyAndCert, err = s.need("server_key_and_cert", "certs/server_key_and_cert.pem", "the server's key and certificate in one file"); err != nil {
		return nil, err
	}
	if c.caCert, err = s.need("ca_cert", "certs/buildsystem_ca_cert.pem", "the CA of the build system, which signs the server and the builders"); err != nil {
		return nil, err
	}
	if c.uiCACert, err = s.need("ui_ca_cert", "certs/users_ca_cert.pem", "the CA that signs the packagers"); err != nil {
		return nil, err
	}
	if c.workDir = s.path("server_work_dir", "/srv/plague"); c.workDir == "" {
		return nil, s.wrong("server_work_dir", "names no folder")
	}
	c.dataDir = s.path("data_dir", "/var/lib/plague/server")
	c.srpmDir = s.path("srpm_dir", "")
	c.userdb = s.text("userdb", "/etc/plague/server/userdb")
	if !strings.Contains(c.userdb, "://") {
		c.userdb = s.path("userdb", c.userdb)
	}
	if err := c.numbers(s); err != nil {
		return nil, err
	}
	for _, line := range s.set["builders"].list {
		b, err := parseBuilder(line)
		if err != nil {
			return nil, s.wrong("builders", err.Error())
		}
		c.builders = append(c.builders, b)
	}
	if c.targets, err = readTargets(s.path("target_configs_dir", "targets"), s.set["targets"].list); err != nil {
		return nil, err
	}
	if c.takes, err = takesOf(s, c.targets); err != nil {
		return nil, err
	}
	return c, c.told(s)
}

// told reads who hears of what happens.
func (c *serverConfig) told(s *settings) (err error) {
	c.email, err = notify.ParseEmail(func(o string) string { return s.text(o, "") }, func(o string) string { return s.path(o, "") })
	if err != nil {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	for _, name := range s.names() {
		short, ok := strings.CutPrefix(name, "Hooks.")
		if !ok {
			continue
		}
		h, err := notify.ParseHook(short, s.set[name].text, s.beside)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", s.file, s.set[name].line, err)
		}
		if h.Target != "" && !slices.ContainsFunc(c.targets, func(t plague.Target) bool { return t.String() == h.Target }) {
			return s.wrong(name, "has a target that this server does not have")
		}
		c.hooks = append(c.hooks, h)
	}
	return nil
}

func (c *serverConfig) hookNames() (names []string) {
	for _, h := range c.hooks {
		names = append(names, h.Name)
	}
	return names
}

func (c *serverConfig) numbers(s *settings) (err error) {
	c.address = s.text("address", "127.0.0.1")
	c.hostname = s.text("hostname", "")
	c.signer = s.path("signer", "")
	if c.uiPort, err = s.number("ui_port", 8887); err != nil {
		return err
	}
	if c.filesPort, err = s.number("files_port", 8886); err != nil {
		return err
	}
	if c.webPort, err = s.number("web_port", 8885); err != nil {
		return err
	}
	if c.tls12, err = s.yes("tls12", false); err != nil {
		return err
	}
	if c.lease, err = s.seconds("lease", 2*time.Minute); err != nil {
		return err
	}
	if c.maxSRPM, err = s.bytes("max_srpm"); err != nil {
		return err
	}
	if c.quota, err = s.bytes("upload_quota"); err != nil {
		return err
	}
	switch metadata := s.text("metadata", "createrepo_c"); metadata {
	case "createrepo_c":
	case "plain":
		c.plain = true
	default:
		return s.wrong("metadata", "is not createrepo_c; plain, which no dnf can use, is for `plague bench`")
	}
	return nil
}

// takesOf reads what jobs may name: use_srpm_not_cvs, or its contrary use_cvs of 0.4.
// Neither: both SRPMs and tags.
func takesOf(s *settings, targets []plague.Target) (server.Takes, error) {
	takes, said := server.TakesBoth, ""
	for _, name := range []string{"use_srpm_not_cvs", "use_cvs"} {
		if s.text(name, "") == "" {
			continue
		}
		yes, err := s.yes(name, false)
		if err != nil {
			return takes, err
		}
		now := server.TakesTags
		if yes == (name == "use_srpm_not_cvs") {
			now = server.TakesSRPMs
		}
		if said != "" && takes != now {
			return takes, s.wrong(name, "says the contrary of "+said)
		}
		takes, said = now, name
	}
	if takes == server.TakesTags && !slices.ContainsFunc(targets, func(t plague.Target) bool { return t.SCM != nil }) {
		return takes, s.wrong(said, "asks for builds out of an SCM, and no target has a section [SCM]")
	}
	return takes, nil
}

// parseBuilder reads `https://host:port name`, where without a name it is the host, or
// `active://name`.
func parseBuilder(line string) (builderAddress, error) {
	address, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	if in, ok := strings.CutPrefix(address, activeScheme); ok {
		if err := pki.ValidName(in); err != nil || name != "" {
			return builderAddress{}, fmt.Errorf("has %q, which is not active:// and the name in the certificate of a builder that dials in", strings.TrimSpace(line))
		}
		return builderAddress{url: address, name: in}, nil
	}
	u, err := url.Parse(address)
	switch {
	case err == nil && u.Scheme == "http":
		return builderAddress{}, fmt.Errorf("has %s: a builder is reached by https:// only, since whoever could listen in between could change what is built", address)
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Path != "" && u.Path != "/":
		return builderAddress{}, fmt.Errorf("has %q, which is neither https://host:port nor active://name", address)
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(defaultBuilderPort)
	}
	if name = strings.TrimSpace(name); name == "" {
		name = u.Hostname()
	}
	return builderAddress{url: "https://" + net.JoinHostPort(u.Hostname(), port), name: name}, nil
}

// listenAt takes an argument address[:port] over what the file says.
func (c *serverConfig) listenAt(arg string) error {
	host, port, err := splitAddress(arg)
	if err != nil {
		return err
	}
	c.listen, c.address = arg, host
	if port != 0 {
		c.uiPort = port
	}
	return nil
}

// splitAddress reads address[:port]; port 0: none given.
func splitAddress(arg string) (string, int, error) {
	host, text, err := net.SplitHostPort(arg)
	if err != nil {
		return strings.Trim(arg, "[]"), 0, nil
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q is not address[:port]", arg), "")
	}
	return host, port, nil
}
