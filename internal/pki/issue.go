package pki

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"plague"
	"plague/internal/durable"
)

// Request is what a certificate should say.
type Request struct {
	Role    Role
	Name    string        // becomes the common name
	Email   string        // a user must have one; others may
	Hosts   []string      // names and addresses besides Name, this machine's name and loopback
	Subject Subject       // zero: the CA's own
	Life    time.Duration // 0: DefaultLife; never longer than the CA's own
	Away    bool          // its holder is another machine: this one's name and loopback stay out
}

// Issue makes a key and a certificate for it, and records the certificate in the
// CA's index.txt and newcerts. The key is kept nowhere.
func (ca *CA) Issue(r Request) (certPEM, keyPEM []byte, err error) {
	t, err := ca.template(r, time.Now())
	if err != nil {
		return nil, nil, err
	}
	if certPEM, keyPEM, err = sign(t, ca); err != nil {
		return nil, nil, err
	}
	if err := ca.record(certPEM); err != nil {
		return nil, nil, fmt.Errorf("record the certificate in %s: %w", ca.dir, err)
	}
	return certPEM, keyPEM, nil
}

func (ca *CA) template(r Request, now time.Time) (*x509.Certificate, error) {
	if err := ca.mayIssue(r, now); err != nil {
		return nil, err
	}
	if r.Subject == (Subject{}) {
		r.Subject = ca.Subject()
	}
	subject, err := r.Subject.name(r.Name, r.Email)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	if r.Life == 0 {
		r.Life = DefaultLife
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-skew), NotAfter: now.Add(r.Life),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{mark(rolePrefix, string(r.Role))},
	}
	if t.NotBefore.Before(ca.cert.NotBefore) {
		t.NotBefore = ca.cert.NotBefore
	}
	if t.NotAfter.After(ca.cert.NotAfter) {
		t.NotAfter = ca.cert.NotAfter
	}
	if r.Email != "" {
		t.EmailAddresses = []string{r.Email}
	}
	if r.Role == RoleUser {
		return t, nil // a person answers on no address
	}
	// Servers and builders call each other, so each is a client too.
	t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	return t, addHosts(t, r)
}

// mayIssue applies the rules of the farm to a request.
func (ca *CA) mayIssue(r Request, now time.Time) error {
	invalid := func(hint, format string, args ...any) error {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf(format, args...), hint)
	}
	if _, err := ParseRole(string(r.Role)); err != nil {
		return err
	}
	if p := ca.Purpose(); !p.allows(r.Role) {
		return invalid("use the other CA: one is for server and builders, one for packagers",
			"the CA %s is for %s and issues nothing for the role %s", ca.name, p, r.Role)
	}
	if r.Role == RoleUser && r.Email == "" {
		return invalid("give the e-mail with --email=, or at the prompt Email Address",
			"a user's certificate without an e-mail address would be nobody's: the farm knows users by it")
	}
	if r.Role == RoleUser && len(r.Hosts) > 0 {
		return invalid("leave out --host", "a user's certificate names no host")
	}
	if r.Role != RoleUser {
		if err := ValidName(r.Name); err != nil {
			return err
		}
	}
	if r.Name == ca.cert.Subject.CommonName {
		return invalid("choose another name", "%q is the name of the CA itself", r.Name)
	}
	if r.Life < 0 {
		return invalid("give a number of days above 0", "a certificate cannot end before it begins")
	}
	if now.After(ca.cert.NotAfter) {
		return invalid("make a new CA with: certhelper ca", "the CA %s ended on %s", ca.name, date(ca.cert.NotAfter))
	}
	return nil
}

// addHosts fills the alternative names: the name, this machine's, loopback, and
// what was asked for. Only the last can be wrong; the others are left out then.
func addHosts(t *x509.Certificate, r Request) error {
	machine, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("ask for the host name: %w", err)
	}
	seen := map[string]bool{}
	add := func(host string) bool {
		ip := net.ParseIP(host)
		if ip == nil && !validHost(host) {
			return false
		}
		switch {
		case seen[host]:
		case ip != nil:
			t.IPAddresses = append(t.IPAddresses, ip)
		default:
			t.DNSNames = append(t.DNSNames, host)
		}
		seen[host] = true
		return true
	}
	add(r.Name)
	for _, host := range []string{machine, "localhost", "127.0.0.1", "::1"} {
		if !r.Away {
			add(host)
		}
	}
	for _, host := range r.Hosts {
		if !add(host) {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is neither a host name nor an address", quote(host)),
				"write it as builder1.example.org or 192.0.2.7, without scheme and port")
		}
	}
	return nil
}

func validHost(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		for _, r := range label {
			ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}
		if !ok {
			return false
		}
	}
	return true
}

// record keeps the certificate where openssl ca would: newcerts/<serial>.pem and
// a line of index.txt (state, end, end by revocation, serial, file, subject).
func (ca *CA) record(certPEM []byte) error {
	block, _ := pem.Decode(certPEM)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	d, err := durable.Open(ca.dir, 0o755)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.MkdirAll("newcerts", 0o755); err != nil {
		return err
	}
	if err := d.WriteFile("newcerts/"+serialOf(c)+".pem", certPEM, 0o644); err != nil {
		return err
	}
	index, err := d.OpenAppend("index.txt", 0o644)
	if err != nil {
		return err
	}
	defer index.Close()
	// One write: two certhelpers at once must not mix their lines.
	line := fmt.Sprintf("V\t%s\t\t%s\tunknown\t%s\n", indexTime(c.NotAfter), serialOf(c), oneLine(c))
	if _, err := index.Write([]byte(line)); err != nil {
		return err
	}
	return index.Sync()
}

// indexTime is ASN.1's UTCTime, and GeneralizedTime from 2050 on (RFC 5280 4.1.2.5).
func indexTime(t time.Time) string {
	if t = t.UTC(); t.Year() < 2050 {
		return t.Format("060102150405Z")
	}
	return t.Format("20060102150405Z")
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
