package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"plague"
)

// Token lets one machine join a farm, once, as the builder of one name. Its text
// is a secret for as long as it lives.
type Token struct {
	Name   string   // the builder's
	Secret [20]byte // known to the CA as a hash only
	CA     [32]byte // SHA-256 of the CA's certificate: the joiner knows the farm by it before it sends anything
}

// tokenKind begins the text of a token: plague1.<secret>.<CA>.<name>, the two in
// base32, so that it can be spelled and no shell touches it.
const tokenKind = "plague1"

func tokenLetters() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// Text is what a person copies to the machine that joins.
func (t Token) Text() string {
	e := tokenLetters()
	return strings.Join([]string{tokenKind, e.EncodeToString(t.Secret[:]), e.EncodeToString(t.CA[:]), t.Name}, ".")
}

// String keeps the secret out of logs.
func (t Token) String() string { return "token of builder " + t.Name }

// ParseToken reads the text of a token. Nothing but what Text writes is one.
func ParseToken(text string) (Token, error) {
	const most = 256
	var t Token
	parts := strings.SplitN(text, ".", 4)
	ok := len(text) <= most && len(parts) == 4 && parts[0] == tokenKind
	if ok {
		t.Name = parts[3]
		ok = spelled(t.Secret[:], parts[1]) && spelled(t.CA[:], parts[2]) && ValidName(t.Name) == nil && t.Text() == text
	}
	if !ok { // what was given may be most of a secret, and is not repeated
		return Token{}, plague.Refuse(plague.ErrInvalid, "that is not a token, or not the whole of one",
			"copy the line that `plague builder token` printed; it begins with "+tokenKind+".")
	}
	return t, nil
}

// spelled decodes text into exactly all of b.
func spelled(b []byte, text string) bool {
	data, err := tokenLetters().DecodeString(text)
	return err == nil && copy(b, data) == len(b) && len(data) == len(b)
}

// newToken draws a secret.
func newToken(name string, ca *x509.Certificate) (Token, error) {
	t := Token{Name: name, CA: sha256.Sum256(ca.Raw)}
	if _, err := rand.Read(t.Secret[:]); err != nil {
		return Token{}, fmt.Errorf("draw a token: %w", err)
	}
	return t, nil
}

// Config is how a machine that joins knocks at host: without a certificate, at a
// server of the farm that the token is for. The handshake fails at any other, so
// that nothing is said to whoever may stand in between.
func (t Token) Config(host string) *tls.Config {
	// The CA comes with the handshake and is known by the token's fingerprint;
	// crypto/tls knows no such way, so VerifyConnection is the only judge.
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
		ca, err := t.authority(state.PeerCertificates)
		if err != nil {
			return err
		}
		roots, err := ParsePool("the token's CA", encode("CERTIFICATE", ca.Raw))
		if err != nil {
			return err
		}
		if err := roots.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, time.Now()); err != nil {
			return err
		}
		server := Expect{Role: RoleServer, Host: host}
		if err := server.admit(state.PeerCertificates[0]); err != nil {
			return err
		}
		return server.here(state.PeerCertificates[0], state.ServerName)
	}}
}

func (t Token) authority(chain []*x509.Certificate) (*x509.Certificate, error) {
	for _, c := range chain {
		if sha256.Sum256(c.Raw) == t.CA {
			return c, nil
		}
	}
	return nil, plague.Refuse(ErrOtherCA, "the server does not belong to the farm that the token is for; nothing was sent to it",
		"compare the address with the farm's; if it is right, somebody stands between you and the server")
}

// Authority gives the CA's certificate (PEM) that a connection made with Config
// has proven.
func (t Token) Authority(state *tls.ConnectionState) ([]byte, error) {
	if state == nil {
		return nil, plague.Refuse(ErrNoCertificate, "the connection is not encrypted", "")
	}
	ca, err := t.authority(state.PeerCertificates)
	if err != nil {
		return nil, err
	}
	return encode("CERTIFICATE", ca.Raw), nil
}

// WithCA has a server show, behind its certificate, those of the CAs in pool
// that signed it: Token.Config looks for them.
func WithCA(cert tls.Certificate, pool *Pool) tls.Certificate {
	chain := [][]byte{cert.Certificate[0]}
	for _, ca := range pool.list {
		if cert.Leaf.CheckSignatureFrom(ca) == nil {
			chain = append(chain, ca.Raw)
		}
	}
	cert.Certificate = chain
	return cert
}
