package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"plague"
)

// Renewal asks for another certificate of the same name for a new key. It is
// signed with the old key, so that whoever passes it on can change nothing.
type Renewal struct {
	CSR       []byte // PEM
	Signature []byte // by the old key, over what renewed makes of the CSR
}

// NewRenewal makes a key (PEM) and asks for its certificate in the name of old.
func NewRenewal(old *tls.Certificate) (key []byte, r Renewal, err error) {
	signer, ok := old.PrivateKey.(crypto.Signer)
	if !ok || old.Leaf == nil {
		return nil, r, plague.Refuse(plague.ErrInvalid, "the key of the certificate cannot sign", "")
	}
	if key, err = NewKey(); err != nil {
		return nil, r, err
	}
	if r.CSR, err = NewCSR(key, old.Leaf.Subject.CommonName); err != nil {
		return nil, r, err
	}
	sum := sha256.Sum256(renewed(r.CSR))
	if r.Signature, err = signer.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
		return nil, r, fmt.Errorf("ask for a renewal: %w", err)
	}
	return key, r, nil
}

// renewed is what is signed: in no other message does a builder's key sign this.
func renewed(csr []byte) []byte { return slices.Concat([]byte("plague renewal\x00"), csr) }

// Renew gives a certificate, valid for life (0: DefaultLife), to the key that the
// holder of a builder's certificate (DER) of this CA names, for the same name.
func (ca *CA) Renew(certDER []byte, r Renewal, life time.Duration, now time.Time) (Issued, error) {
	old, err := x509.ParseCertificate(certDER)
	if err != nil {
		return Issued{}, plague.Refuse(plague.ErrInvalid, "the certificate to renew cannot be read", "")
	}
	pool, err := ParsePool(ca.name, encode("CERTIFICATE", ca.cert.Raw))
	if err != nil {
		return Issued{}, err
	}
	if err := pool.verify([]*x509.Certificate{old}, x509.ExtKeyUsageClientAuth, now); err != nil {
		return Issued{}, err
	}
	id, err := identify(old)
	if err != nil {
		return Issued{}, err
	}
	if id.Role != RoleBuilder {
		return Issued{}, plague.Refuse(ErrWrongRole, describe(old)+" is not a builder's: only those renew themselves", "beside the CA's key: plague cert renew")
	}
	if !provenBy(old, r) {
		return Issued{}, plague.Refuse(plague.ErrDenied, "the renewal is not signed with the key of "+describe(old), "")
	}
	if middle := old.NotBefore.Add(old.NotAfter.Sub(old.NotBefore) / 2); now.Before(middle) { // no builder that is well asks before two thirds
		return Issued{}, plague.Refuse(plague.ErrConflict, describe(old)+" is renewed from "+date(middle)+" on", "")
	}
	key, _, err := parseCSR(r.CSR, id.Name)
	if err != nil {
		return Issued{}, err
	}
	cert, err := ca.issueFor(Request{Role: RoleBuilder, Name: id.Name, Email: id.Email, Hosts: hostsOf(old), Subject: subjectOf(old.Subject), Life: life, Away: true}, key, now)
	if err != nil {
		return Issued{}, err
	}
	return issuedOf(cert, id.Name)
}

func provenBy(c *x509.Certificate, r Renewal) bool {
	sum := sha256.Sum256(renewed(r.CSR))
	switch key := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, sum[:], r.Signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], r.Signature) == nil
	}
	return false
}

func hostsOf(c *x509.Certificate) []string {
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// Reissue makes a new key and a certificate that says what the one in a file says,
// whichever CA made that.
func (ca *CA) Reissue(path string, life time.Duration) (certPEM, keyPEM []byte, err error) {
	old, err := loadLeaf(path)
	if err != nil {
		return nil, nil, err
	}
	id, err := identify(old)
	if err != nil {
		return nil, nil, err
	}
	if id.Role == RoleNone {
		return nil, nil, plague.Refuse(plague.ErrInvalid, describe(old)+" was made elsewhere and does not say its role", "make a new one with certhelper")
	}
	r := Request{Role: id.Role, Name: id.Name, Email: id.Email, Subject: subjectOf(old.Subject), Life: life, Away: true}
	if id.Role != RoleUser {
		r.Hosts = hostsOf(old)
	}
	return ca.Issue(r)
}

// RenewAt is when a third of a certificate's life is left.
func RenewAt(c *tls.Certificate) time.Time {
	life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore.Add(skew)) // it was made later than it says
	return c.Leaf.NotAfter.Add(-max(0, life) / 3)
}

// Holder has the certificate that a daemon shows, which may become another while it
// runs.
type Holder struct {
	now atomic.Pointer[tls.Certificate]
}

// NewHolder begins with a key and its certificate.
func NewHolder(c tls.Certificate) *Holder {
	h := &Holder{}
	h.now.Store(&c)
	return h
}

// Now is what is shown now.
func (h *Holder) Now() *tls.Certificate { return h.now.Load() }

// Swap has every new connection show another; those that are open go on.
func (h *Holder) Swap(c tls.Certificate) { h.now.Store(&c) }

// Shown has a door, or a client, show what the holder has.
func (h *Holder) Shown(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.Certificates = nil
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return h.Now(), nil }
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return h.Now(), nil }
	return cfg
}

// Replacement reads a key and certificate (PEM) that shall take the place of the one
// in the file at path: of the same name and role, of a CA in roots, and newer.
func Replacement(path string, keyAndCert []byte, roots *Pool, now time.Time) (tls.Certificate, error) {
	bad := func(what string) (tls.Certificate, error) {
		return tls.Certificate{}, plague.Refuse(plague.ErrInvalid, "the new certificate "+what, "")
	}
	if len(keyAndCert) > maxPEM {
		return bad("is too long")
	}
	pair, err := tls.X509KeyPair(keyAndCert, keyAndCert)
	if err != nil {
		return bad("does not fit its key")
	}
	old, err := loadLeaf(path)
	if err != nil {
		return tls.Certificate{}, err
	}
	was, err := identify(old)
	if err != nil {
		return tls.Certificate{}, err
	}
	is, err := identify(pair.Leaf)
	if err != nil {
		return tls.Certificate{}, err
	}
	if is.Role != was.Role || is.Name != was.Name || !pair.Leaf.NotAfter.After(old.NotAfter) {
		return bad(fmt.Sprintf("is for %s %s until %s, and the old for %s %s until %s", is.Role, quote(is.Name), date(is.NotAfter), was.Role, quote(was.Name), date(was.NotAfter)))
	}
	return pair, roots.verify([]*x509.Certificate{pair.Leaf}, x509.ExtKeyUsageClientAuth, now)
}
