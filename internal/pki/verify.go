package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"plague"
)

// verify checks that a chain, in the order in which the peer showed it, leads to
// the pool, is valid now and may be used so.
func (p *Pool) verify(chain []*x509.Certificate, use x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return plague.Refuse(ErrNoCertificate, "the other side showed no certificate", "")
	}
	leaf := chain[0]
	if p == nil {
		return plague.Refuse(ErrOtherCA, describe(leaf)+" cannot be trusted: no CA is configured", "name the CA's certificate in the configuration")
	}
	// A CA's key lies in a safe; one that talks has been taken from there.
	if leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0 || p.holds(leaf) {
		return plague.Refuse(ErrWrongRole, describe(leaf)+" is a CA's: it signs, it does not talk", "make a certificate with: certhelper normal")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: p.set, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use},
	})
	return sentence(leaf, err, p.names(), now)
}

// sentence says in the farm's words why crypto/x509 refused a certificate. The
// trusted CAs are named when known.
func sentence(leaf *x509.Certificate, err error, trusted string, now time.Time) error {
	if err == nil {
		return nil
	}
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return outOfTime(invalid.Cert, now)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return plague.Refuse(ErrWrongRole, describe(leaf)+" was not made for this use", "make one for the right role with: certhelper normal")
	case errors.As(err, new(x509.HostnameError)):
		return plague.Refuse(ErrWrongName, describe(leaf)+" is for another host ("+strings.TrimPrefix(err.Error(), "x509: ")+")",
			"use an address that it names, or make it anew with --host")
	case weak(leaf.SignatureAlgorithm):
		return plague.Refuse(ErrMalformed, fmt.Sprintf("%s is signed with %s, which anybody can forge today", describe(leaf), leaf.SignatureAlgorithm),
			"make it anew with certhelper")
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return otherCA(leaf, trusted)
	}
	return plague.Refuse(ErrMalformed, fmt.Sprintf("%s does not hold (%s)", describe(leaf), err), "make it anew with certhelper")
}

func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

// outOfTime exists because crypto/x509 has one reason for both ends.
func outOfTime(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) {
		return plague.Refuse(ErrNotYetValid, fmt.Sprintf("%s is valid from %s on, and it is %s here", describe(c), date(c.NotBefore), date(now)),
			"compare the clocks of the two machines")
	}
	return plague.Refuse(ErrExpired, fmt.Sprintf("%s ended on %s", describe(c), date(c.NotAfter)), "make a new one with certhelper")
}

func otherCA(leaf *x509.Certificate, trusted string) error {
	by := "by " + quote(leaf.Issuer.CommonName)
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		by = "by itself"
	}
	text := describe(leaf) + " was signed " + by + ", which is not a CA that is trusted here"
	if trusted != "" {
		text += " (" + trusted + ")"
	}
	if strings.Contains(trusted, quote(leaf.Issuer.CommonName)) {
		text += ", though one of them has the same name"
	}
	return plague.Refuse(ErrOtherCA, text, "use a certificate of the right CA, or correct the CA that is configured")
}

// Expect is whom one wants at the other end of a connection. A certificate with
// a role is let through when the role is Role; one without a role (made
// elsewhere) only when it is Pinned, or has the Name, or when Role is RoleUser
// and it has an e-mail, by which users are known.
type Expect struct {
	Role   Role
	Name   string // common name; empty: any. When a client gives it, it takes the place of the host name
	Pinned []byte // one certificate without a role (DER, from LoadPinned) that is known by heart; it only lets in, it keeps nobody out
	Host   string // for clients with Pinned: the host that is dialled. Empty: the one in TLS, where an IP address is not told
}

// admit judges a certificate that has been verified.
func (e Expect) admit(c *x509.Certificate) error {
	id, err := identify(c)
	if err != nil {
		return err
	}
	switch {
	case id.Role != RoleNone && id.Role != e.Role:
		return plague.Refuse(ErrWrongRole, fmt.Sprintf("%s has the role %s, and here only the role %s will do", describe(c), id.Role, e.Role),
			"make one for that role with: certhelper normal --role="+string(e.Role))
	case e.Name != "" && id.Name != e.Name:
		return plague.Refuse(ErrWrongName, fmt.Sprintf("%s is not that of %s", describe(c), quote(e.Name)),
			"correct the name in the configuration, or the address")
	case e.Role == RoleUser && id.Email == "":
		return plague.Refuse(ErrUnknown, describe(c)+" has no e-mail address, by which users are known", "make it anew with --email")
	case id.Role == RoleNone && e.Name == "" && e.Role != RoleUser && !e.pinned(c):
		return plague.Refuse(ErrUnknown, describe(c)+" does not say its role, and is not known by heart or by name",
			"make it anew with certhelper, or name it in the configuration")
	}
	return nil
}

func (e Expect) pinned(c *x509.Certificate) bool {
	return len(e.Pinned) > 0 && bytes.Equal(e.Pinned, c.Raw)
}

// vouches says whether the pinned certificate needs to be: one with a role is
// known by that.
func (e Expect) vouches() bool {
	c, err := x509.ParseCertificate(e.Pinned)
	if err != nil {
		return false
	}
	role, err := roleOf(c.URIs)
	return err == nil && role == RoleNone
}

// here checks that a server is the one that was dialled. A name that was given,
// or the very certificate, says so better than a host name.
func (e Expect) here(c *x509.Certificate, host string) error {
	if e.Name != "" || e.pinned(c) {
		return nil
	}
	if e.Host != "" {
		host = e.Host
	}
	if host == "" {
		return plague.Refuse(ErrWrongName, describe(c)+" cannot be compared with an address that is not known", "dial a host name")
	}
	return sentence(c, c.VerifyHostname(host), "", time.Now())
}

// Explain says in a sentence why a connection failed on a certificate; any other
// error comes back as it is.
func Explain(err error) error {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) && len(bad.UnverifiedCertificates) > 0 {
		return sentence(bad.UnverifiedCertificates[0], bad.Err, "", time.Now())
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || !strings.Contains(op.Err.Error(), "certificate") {
		return err
	}
	kind, text := plague.ErrDenied, "the other side refused our certificate"
	if strings.Contains(op.Err.Error(), "certificate required") {
		kind, text = ErrNoCertificate, "the other side wants a certificate, and none was shown"
	}
	return plague.Refuse(kind, fmt.Sprintf("%s (%s)", text, op.Err), "its log says why")
}
