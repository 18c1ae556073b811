package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"plague"
)

// clientConfig is what ~/.plague-client.cfg says.
type clientConfig struct {
	file         string
	userCert     string
	userKey      string // the same file as userCert when that holds the key, too
	userCACert   string
	serverCACert string
	serverCert   string // the server's own certificate: needed only when that has no role
	email        string
	address      string // https://host:port
	allowUploads bool
}

const (
	clientConfigEnv   = "PLAGUE_CLIENT_CONFIG"
	clientConfigName  = ".plague-client.cfg"
	defaultClientPort = "8887"
)

func clientOptions() map[string][]string {
	return map[string][]string{
		"Certs":  {"user-cert", "user-key", "user-ca-cert", "server-ca-cert", "server-cert"},
		"User":   {"email", "e-mail"},
		"Server": {"address", "use_ssl", "upload_user", "allow_uploads"},
	}
}

// clientConfigFile is the configuration's path.
func clientConfigFile() (string, error) {
	if file := os.Getenv(clientConfigEnv); file != "" {
		return file, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", plague.Refuse(plague.ErrInvalid, "configuration: "+err.Error(), "name the file in "+clientConfigEnv)
	}
	return filepath.Join(home, clientConfigName), nil
}

// loadClientConfig reads the configuration. At the first run there is none: it
// is made, and the error says what to write into it.
func loadClientConfig() (*clientConfig, error) {
	file, err := clientConfigFile()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := makeClientConfig(file); err != nil {
			return nil, plague.Refuse(plague.ErrInvalid, "make the configuration: "+err.Error(), "name another file in "+clientConfigEnv)
		}
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("there was no configuration, so %s was made", file),
			"edit address and email there, and put your certificate and the two CAs' where it says; the farm's administrator sent you all of it")
	}
	return readClientConfig(file)
}

// clientConfigText is the configuration of the first run.
const clientConfigText = `# Configuration of plague-client. Lines that begin with # are comments.

[Server]
# Where the build server answers its users: https://host:port. It has to be edited.
#   address = https://buildsys.example.com:8887
address =

# no: SRPMs are not uploaded; build takes the path of one that lies on the server.
allow_uploads = yes

[User]
# Your e-mail address, as it stands in your certificate. It has to be edited.
#   email = you@example.com
email =

[Certs]
# Your certificate, and your private key. The key can be blank when the
# certificate's file holds it, too. Nobody else may read the key: chmod 600.
user-cert = ~/.plague/user_key_and_cert.pem
user-key =

# The CA that signed your certificate, and the CA that signed the build server's.
user-ca-cert = ~/.plague/users_ca_cert.pem
server-ca-cert = ~/.plague/buildsystem_ca_cert.pem

# The build server's own certificate. It is needed only if that was made
# without plague-certhelper, and so does not say that it is a server's.
#   server-cert = ~/.plague/server_cert.pem
`

// makeClientConfig writes the commented configuration of the first run.
func makeClientConfig(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(clientConfigText)
	return errors.Join(err, f.Close())
}

// readClientConfig reads the client's configuration and checks what can be
// checked without the certificates.
func readClientConfig(file string) (*clientConfig, error) {
	s, err := readSettings(file, clientOptions())
	if err != nil {
		return nil, err
	}
	c := &clientConfig{file: file}
	if c.address, err = s.serverAddress(); err != nil {
		return nil, err
	}
	if c.email, err = s.email(); err != nil {
		return nil, err
	}
	certs := []struct {
		into *string
		name string
		what string
	}{
		{&c.userCert, "user-cert", "your certificate"},
		{&c.userCACert, "user-ca-cert", "the CA that signed your certificate"},
		{&c.serverCACert, "server-ca-cert", "the CA that signed the build server's certificate"},
	}
	for _, o := range certs {
		if *o.into, err = s.need(o.name, "", o.what); err != nil {
			return nil, err
		}
	}
	c.userKey = s.path("user-key", c.userCert)
	c.serverCert = s.path("server-cert", "")
	c.allowUploads, err = s.yes("allow_uploads", true)
	return c, err
}

// email reads the user's e-mail under either of its names.
func (s *settings) email() (string, error) {
	a, b := s.text("email", ""), s.text("e-mail", "")
	switch {
	case a == "" && b == "":
		return "", plague.Refuse(plague.ErrInvalid, s.file+": the option email is missing or empty", "set it to the e-mail in your certificate")
	case a != "" && b != "" && a != b:
		return "", s.wrong("e-mail", "is not what the option email says")
	case a == "":
		return b, nil
	}
	return a, nil
}

// serverAddress reads https://host:port.
func (s *settings) serverAddress() (string, error) {
	address := s.text("address", "")
	if address == "" {
		return "", plague.Refuse(plague.ErrInvalid, s.file+": the option address is missing or empty", "set it to https://host:"+defaultClientPort+" of the build server")
	}
	const why = "whoever could listen in between could build in your name"
	ssl, err := s.yes("use_ssl", true)
	if err != nil {
		return "", err
	}
	if !ssl {
		return "", s.wrong("use_ssl", "is refused: the build server speaks TLS only, since "+why)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "", s.wrong("address", "cannot be read: "+err.Error())
	case u.Scheme == "http":
		return "", s.wrong("address", "is refused: it has to be https://, since "+why)
	case u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return "", s.wrong("address", "is not https://host:port")
	}
	port := u.Port()
	if port == "" {
		port = defaultClientPort
	}
	return "https://" + net.JoinHostPort(u.Hostname(), port), nil
}
