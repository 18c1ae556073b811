package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plague"
)

func TestCreateCALaysOutTheREADMEsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc", "ca_dir")
	must(t, CreateCA(dir, "buildsystem", Subject{Country: "US", State: "North Carolina"}))
	for name, mode := range map[string]fs.FileMode{
		"buildsystem_ca_cert.pem": 0o644, "private/buildsystem_ca_key.pem": 0o600, "index.txt": 0o644, "serial": 0o644,
		"private": fs.ModeDir | 0o700, "certs": fs.ModeDir | 0o755, "crl": fs.ModeDir | 0o755, "newcerts": fs.ModeDir | 0o755,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, info, err, mode)
		}
	}
	ca, err := LoadCA(dir, "buildsystem")
	must(t, err)
	if life := time.Until(ca.cert.NotAfter).Hours() / 24; life < 3649 || life > 3650 {
		t.Errorf("the CA lives %.1f days, want 3650", life)
	}
	if !ca.cert.IsCA || !ca.cert.MaxPathLenZero {
		t.Error("it may make another CA")
	}
	if ca.Purpose() != ForBuildSystem || ca.Subject() != (Subject{Country: "US", State: "North Carolina"}) {
		t.Errorf("purpose %q, subject %+v", ca.Purpose(), ca.Subject())
	}
}

func TestCreateCANeverReplaces(t *testing.T) {
	for _, keep := range []string{"x_ca_cert.pem", "private/x_ca_key.pem"} {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "private"), 0o700))
		path := filepath.Join(dir, keep)
		must(t, os.WriteFile(path, []byte("mine"), 0o600))
		err := CreateCA(dir, "x", Subject{})
		if !errors.Is(err, plague.ErrConflict) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want a conflict that names it", keep, err)
		}
		if data, _ := os.ReadFile(path); string(data) != "mine" {
			t.Errorf("%s was replaced", keep)
		}
	}
}

func TestIssue(t *testing.T) {
	f := newFarm(t)
	machine, err := os.Hostname()
	must(t, err)
	c := f.pair(f.build, Request{Role: RoleBuilder, Name: "builder1", Hosts: []string{"b1.example", "192.0.2.7"}, Life: 30 * 24 * time.Hour}).Leaf
	for _, host := range []string{"builder1", machine, "localhost", "127.0.0.1", "::1", "b1.example", "192.0.2.7"} {
		if err := c.VerifyHostname(host); err != nil {
			t.Errorf("not valid for %s: %v", host, err)
		}
	}
	if _, ok := c.PublicKey.(*ecdsa.PublicKey); !ok {
		t.Errorf("the key is a %T", c.PublicKey)
	}
	if days := time.Until(c.NotAfter).Hours() / 24; days < 29.9 || days > 30 {
		t.Errorf("it lives %.1f days, want 30", days)
	}
	if bits := c.SerialNumber.BitLen(); bits < 127 {
		t.Errorf("the serial has %d bits", bits)
	}
	if long := f.pair(f.build, Request{Role: RoleBuilder, Name: "b", Life: 2 * DefaultLife}).Leaf; long.NotAfter.After(f.build.cert.NotAfter) {
		t.Error("a certificate outlives its CA")
	}
	user := f.user().Leaf
	id, err := identify(user)
	must(t, err)
	if id.Email != "dcbw@example.org" || id.Name != "Dan Williams" || id.Role != RoleUser || len(user.DNSNames)+len(user.IPAddresses) != 0 {
		t.Errorf("user: %+v with hosts %v %v", id, user.DNSNames, user.IPAddresses)
	}
	if !bytes.Contains(user.RawSubject, []byte("dcbw@example.org")) || len(user.EmailAddresses) != 1 {
		t.Error("the e-mail is not in both places")
	}
}

func TestIssueRefuses(t *testing.T) {
	f := newFarm(t)
	old := &CA{name: "old", key: f.build.key, cert: &x509.Certificate{NotAfter: time.Now().Add(-time.Hour)}}
	for _, tt := range []struct {
		name string
		ca   *CA
		r    Request
		says string
	}{
		{"no role", f.build, Request{Name: "x"}, "unknown role"},
		{"user without e-mail", f.users, Request{Role: RoleUser, Name: "x"}, "without an e-mail address would be nobody's"},
		{"user of the build system", f.build, Request{Role: RoleUser, Name: "x", Email: "a@b.example"}, "buildsystem is for buildsystem and issues nothing for the role user"},
		{"builder of the users", f.users, Request{Role: RoleBuilder, Name: "x"}, "users is for users and issues nothing for the role builder"},
		{"no e-mail address", f.users, Request{Role: RoleUser, Name: "x", Email: "root"}, `"root" is not an e-mail address`},
		{"e-mail with a line", f.users, Request{Role: RoleUser, Name: "x", Email: "a@b.example\nBcc: c@d.example"}, "is not an e-mail address"},
		{"user with a host", f.users, Request{Role: RoleUser, Name: "x", Email: "a@b.example", Hosts: []string{"h"}}, "names no host"},
		{"no name", f.build, Request{Role: RoleBuilder}, "cannot be a name"},
		{"a path", f.build, Request{Role: RoleBuilder, Name: "../x"}, "cannot be a name"},
		{"the CA's name", f.build, Request{Role: RoleBuilder, Name: "buildsystem"}, "the name of the CA itself"},
		{"a URL as host", f.build, Request{Role: RoleBuilder, Name: "x", Hosts: []string{"https://b:8888"}}, "neither a host name nor an address"},
		{"country", f.build, Request{Role: RoleBuilder, Name: "x", Subject: Subject{Country: "USA"}}, "country"},
		{"negative life", f.build, Request{Role: RoleBuilder, Name: "x", Life: -1}, "cannot end before it begins"},
		{"ended CA", old, Request{Role: RoleBuilder, Name: "x"}, "the CA old ended on"},
	} {
		before, _ := os.ReadFile(filepath.Join(f.dir, "ca", "index.txt"))
		_, _, err := tt.ca.Issue(tt.r)
		if !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if after, _ := os.ReadFile(filepath.Join(f.dir, "ca", "index.txt")); !bytes.Equal(before, after) {
			t.Errorf("%s: something was recorded", tt.name)
		}
	}
}

// TestIndex has openssl read what several issuers at once have recorded.
func TestIndex(t *testing.T) {
	f := newFarm(t)
	var wg sync.WaitGroup
	for _, name := range []string{"b1", "b2", "b3", "b4", "b5", "b6"} {
		wg.Go(func() {
			if _, _, err := f.build.Issue(Request{Role: RoleBuilder, Name: name, Email: "admin@example.org"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	dir := filepath.Join(f.dir, "ca")
	index, err := os.ReadFile(filepath.Join(dir, "index.txt"))
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(index)), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines:\n%s", len(lines), index)
	}
	openssl(t, "version") // or skip
	conf := write(t, "ca.cnf", 0o600, []byte("[ca]\ndefault_ca=c\n[c]\ndir="+dir+"\ndatabase=$dir/index.txt\nserial=$dir/serial\n"+
		"certificate=$dir/buildsystem_ca_cert.pem\nprivate_key=$dir/private/buildsystem_ca_key.pem\ndefault_md=sha256\n"))
	for _, line := range lines {
		serial := strings.Split(line, "\t")[3]
		if _, err := os.Stat(filepath.Join(dir, "newcerts", serial+".pem")); err != nil {
			t.Error(err)
		}
		if !strings.Contains(line, "/emailAddress=admin@example.org") || !strings.Contains(line, "/C=DE/O=Example/CN=b") {
			t.Errorf("subject: %s", line)
		}
		// It exits with 1 when all is well.
		if out, _ := exec.CommandContext(t.Context(), "openssl", "ca", "-config", conf, "-status", serial).CombinedOutput(); !strings.Contains(string(out), serial+"=Valid") {
			t.Errorf("openssl ca -status: %s", out)
		}
	}
}

func openssl(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestOpenSSLAgrees has openssl check what we issue, as strictly as it can.
func TestOpenSSLAgrees(t *testing.T) {
	f := newFarm(t)
	ca := filepath.Join(f.dir, "ca", "buildsystem_ca_cert.pem")
	server := write(t, "server.pem", 0o600, encode("CERTIFICATE", f.server().Certificate[0]))
	openssl(t, "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "farm.example", "-CAfile", ca, server)
	openssl(t, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", ca, server)
	user := write(t, "user.pem", 0o600, encode("CERTIFICATE", f.user().Certificate[0]))
	openssl(t, "verify", "-x509_strict", "-purpose", "sslclient", "-verify_email", "dcbw@example.org",
		"-CAfile", filepath.Join(f.dir, "user_ca", "users_ca_cert.pem"), user)
	if text := openssl(t, "x509", "-in", user, "-noout", "-text"); !strings.Contains(text, "URI:plague:role:user") || !strings.Contains(text, "emailAddress = dcbw@example.org") {
		t.Errorf("openssl reads:\n%s", text)
	}
}

func TestLoadKeyAndCert(t *testing.T) {
	f := newFarm(t)
	certPEM, keyPEM, err := f.build.Issue(Request{Role: RoleServer, Name: "server"})
	must(t, err)
	caPEM, err := os.ReadFile(filepath.Join(f.dir, "ca", "buildsystem_ca_cert.pem"))
	must(t, err)
	_, otherKey, err := f.build.Issue(Request{Role: RoleServer, Name: "server2"})
	must(t, err)
	for name, parts := range map[string][][]byte{
		"key first": {keyPEM, certPEM}, "certificate first": {certPEM, keyPEM}, "with the CA": {certPEM, keyPEM, caPEM}, "with text": {[]byte("Certificate:\n  Data:\n"), certPEM, keyPEM},
	} {
		pair, err := LoadKeyAndCert(write(t, "x.pem", 0o600, parts...))
		if err != nil || pair.Leaf.Subject.CommonName != "server" {
			t.Errorf("%s: %v", name, err)
		}
	}
	encrypted := encode("ENCRYPTED PRIVATE KEY", []byte("x"))
	broken := encode("PRIVATE KEY", []byte("secret-bytes"))
	for _, tt := range []struct {
		name  string
		mode  os.FileMode
		parts [][]byte
		says  string
	}{
		{"group may read", 0o640, [][]byte{keyPEM, certPEM}, "chmod 600 "},
		{"others may read", 0o604, [][]byte{keyPEM, certPEM}, "can be read by others (mode 0604)"},
		{"no key", 0o600, [][]byte{certPEM}, "has no private key"},
		{"no certificate", 0o600, [][]byte{keyPEM}, "has no certificate"},
		{"another's key", 0o600, [][]byte{otherKey, certPEM}, "cannot be used together"},
		{"encrypted", 0o600, [][]byte{encrypted, certPEM}, "is encrypted"},
		{"broken key", 0o600, [][]byte{broken, certPEM}, "cannot be used together"},
		{"broken certificate", 0o600, [][]byte{keyPEM, encode("CERTIFICATE", []byte("x"))}, "cannot be read"},
		{"empty", 0o600, nil, "has no private key"},
		{"too large", 0o600, [][]byte{bytes.Repeat([]byte("x"), maxPEM+1)}, "no PEM file should be"},
	} {
		path := write(t, "server.pem", tt.mode, tt.parts...)
		_, err := LoadKeyAndCert(path)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q and the path", tt.name, err, tt.says)
			continue
		}
		if block, _ := pem.Decode(keyPEM); strings.Contains(err.Error(), "secret-bytes") || strings.Contains(err.Error(), string(block.Bytes)) {
			t.Errorf("%s: the error shows the key", tt.name)
		}
	}
	missing := filepath.Join(t.TempDir(), "builder1.pem")
	if _, err := LoadKeyAndCert(missing); !errors.Is(err, plague.ErrNotFound) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing: %v", err)
	}
}

func TestLoadPoolRefuses(t *testing.T) {
	f := newFarm(t)
	certPEM, keyPEM, err := f.build.Issue(Request{Role: RoleServer, Name: "server"})
	must(t, err)
	for says, parts := range map[string][][]byte{"is not a CA's": {certPEM}, "has no certificate": {keyPEM}} {
		if _, err := LoadPool(write(t, "ca.pem", 0o644, parts...)); !errors.Is(err, plague.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, err := LoadPool(filepath.Join(f.dir, "none.pem")); !errors.Is(err, plague.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	if _, err := LoadCA(f.dir, "none"); !errors.Is(err, plague.ErrNotFound) {
		t.Errorf("missing CA: %v", err)
	}
}

func TestCheckUser(t *testing.T) {
	f := newFarm(t)
	now := time.Now()
	ca := filepath.Join(f.dir, "user_ca", "users_ca_cert.pem")
	asUser := Request{Role: RoleUser, Name: "dcbw", Email: "dcbw@example.org"}
	file := func(der []byte) string { return write(t, "user.pem", 0o600, encode("CERTIFICATE", der)) }
	user := file(f.user().Certificate[0])
	nobody := file(f.forge(f.users, asUser, func(c *x509.Certificate) { c.EmailAddresses, c.Subject.ExtraNames = nil, nil }).Certificate[0])
	for _, tt := range []struct {
		name, cert, email string
		now               time.Time
		want              error
		says              string
	}{
		{"good", user, "dcbw@example.org", now, nil, ""},
		{"no e-mail configured", user, "", now, nil, ""},
		{"other e-mail", user, "root@example.org", now, ErrWrongName, "is root@example.org in the configuration and dcbw@example.org in the certificate"},
		{"ended", user, "", now.Add(2 * DefaultLife), ErrExpired, "ended on 20"},
		{"not yet valid", user, "", now.Add(-2 * skew), ErrNotYetValid, "is valid from 20"},
		{"other CA", file(f.stranger("packagers", asUser).Certificate[0]), "", now, ErrOtherCA, `signed by "packagers", which is not a CA that is trusted here ("users")`},
		{"server's", file(f.server().Certificate[0]), "", now, ErrWrongRole, "is a server's certificate, not a user's"},
		{"CA's", ca, "", now, ErrWrongRole, "is a CA's"},
		{"no e-mail", nobody, "", now, ErrUnknown, "has no e-mail address"},
	} {
		err := CheckUser(tt.cert, ca, tt.email, tt.now)
		if tt.want == nil && err != nil || !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.want, tt.says)
		}
	}
}
