package pki

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
)

// made is a CA and certificates that openssl made, the way the certhelper of
// 2005 did: RSA, the e-mail in the subject, no role, no use, no host names.
type made struct {
	t   *testing.T
	dir string
}

func newMade(t *testing.T) made {
	m := made{t, t.TempDir()}
	must(t, os.Mkdir(m.path("private"), 0o700))
	key, cert := m.path("private/old_ca_key.pem"), m.path("old_ca_cert.pem")
	openssl(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "3650", "-subj", "/C=US/O=Fedora Project/CN=old",
		"-addext", "basicConstraints=CA:TRUE", "-keyout", key, "-out", cert)
	must(t, os.Chmod(key, 0o600))
	return m
}

func (m made) path(name string) string { return filepath.Join(m.dir, name) }

// certificate makes <name>_key_and_cert.pem; openssl x509 without extensions
// writes version 1, as in 2005, or 3 by its own defaults.
func (m made) certificate(name, subject string, digest string, genkey ...string) string {
	m.t.Helper()
	key, csr, cert := m.path(name+"_key.pem"), m.path(name+"_req.pem"), m.path(name+"_cert.pem")
	openssl(m.t, append(genkey, "-out", key)...)
	openssl(m.t, "req", "-new", "-key", key, "-subj", subject, "-out", csr)
	openssl(m.t, "x509", "-req", "-in", csr, "-CA", m.path("old_ca_cert.pem"), "-CAkey", m.path("private/old_ca_key.pem"),
		"-CAcreateserial", "-days", "30", "-"+digest, "-out", cert)
	keyPEM, err := os.ReadFile(key)
	must(m.t, err)
	certPEM, err := os.ReadFile(cert)
	must(m.t, err)
	path := m.path(name + "_key_and_cert.pem")
	must(m.t, os.WriteFile(path, append(keyPEM, certPEM...), 0o600))
	return path
}

func rsaKey(form ...string) []string {
	if len(form) > 0 {
		return []string{"genrsa", form[0]}
	}
	return []string{"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}
}

func TestMadeByOpenSSL(t *testing.T) {
	m := newMade(t)
	pool, err := LoadPool(m.path("old_ca_cert.pem"))
	must(t, err)
	const email = "buildsys@example.org"
	server := m.certificate("server", "/C=US/CN=server/emailAddress="+email, "sha256", rsaKey("-traditional")...) // PKCS 1
	builder := m.certificate("builder1", "/C=US/CN=builder1", "sha256", rsaKey()...)                              // PKCS 8
	user := m.certificate("user1", "/CN=Dan Williams/emailAddress=dcbw@example.org", "sha256", "ecparam", "-name", "prime256v1", "-genkey")
	sha1 := m.certificate("weak", "/CN=server", "sha1", rsaKey()...)

	if id, err := Describe(server); err != nil || id.Role != RoleNone || id.Name != "server" || id.Email != email {
		t.Errorf("server: %+v, %v", id, err)
	}
	serverPair, err := LoadKeyAndCert(server)
	must(t, err)
	builderPair, err := LoadKeyAndCert(builder)
	must(t, err)
	userPair, err := LoadKeyAndCert(user)
	must(t, err)
	weakPair, err := LoadKeyAndCert(sha1)
	must(t, err)
	pinned, err := LoadPinned(m.path("server_cert.pem"))
	must(t, err)
	must(t, CheckUser(user, m.path("old_ca_cert.pem"), "dcbw@example.org", time.Now()))

	toServer := Expect{Role: RoleServer, Name: "server"}
	onBuilder := DoorConfig(builderPair, pool, Expect{Role: RoleServer, Pinned: pinned})
	toBuilder := Expect{Role: RoleBuilder, Name: "builder1"}
	if got := shake(t, onBuilder, ClientConfig(&serverPair, pool, toBuilder), "b1.example"); got.server != nil || got.client != nil {
		t.Errorf("server to builder1: %v, %v", got.server, got.client)
	}
	if got := shake(t, onBuilder, ClientConfig(&builderPair, pool, toBuilder), "b1.example"); !errors.Is(got.server, ErrUnknown) {
		t.Errorf("a builder as the server: %v", got.server)
	}
	users := ServerConfig(serverPair, pool, RoleUser)
	got := shake(t, users, ClientConfig(&userPair, pool, toServer), "farm.example")
	if got.server != nil || got.client != nil || got.seen.Email != "dcbw@example.org" {
		t.Errorf("user: %+v", got)
	}
	if got := shake(t, users, ClientConfig(&builderPair, pool, toServer), "farm.example"); !errors.Is(got.server, ErrUnknown) {
		t.Errorf("a builder, without e-mail, as a user of the same CA: %v", got.server)
	}
	weak := shake(t, users, ClientConfig(&weakPair, pool, toServer), "farm.example")
	if !errors.Is(weak.server, ErrMalformed) || !strings.Contains(weak.server.Error(), "SHA1-RSA") {
		t.Errorf("a certificate signed with SHA-1: %v", weak.server)
	}
}

// TestIssueFromOpenSSLsCA goes on with a CA of 2005.
func TestIssueFromOpenSSLsCA(t *testing.T) {
	m := newMade(t)
	ca, err := LoadCA(m.dir, "old")
	must(t, err)
	if ca.Purpose() != ForAnything {
		t.Errorf("purpose %q", ca.Purpose())
	}
	certPEM, _, err := ca.Issue(Request{Role: RoleBuilder, Name: "builder2"})
	must(t, err)
	cert := write(t, "builder2_cert.pem", 0o644, certPEM)
	openssl(t, "verify", "-CAfile", m.path("old_ca_cert.pem"), cert)
	must(t, os.Chmod(m.path("private/old_ca_key.pem"), 0o644))
	if _, err := LoadCA(m.dir, "old"); !errors.Is(err, plague.ErrDenied) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a CA's key that all can read: %v", err)
	}
}
