package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"plague"
)

// MaxCSR bounds a request for a certificate, in bytes: ours have about 450.
const MaxCSR = 4096

// NewKey makes the key (PEM) of a machine that asks for a certificate.
func NewKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

// NewCSR asks for the certificate (PEM) of a key that NewKey made. It says the
// name and nothing else: what a certificate says, the CA decides.
func NewCSR(keyPEM []byte, name string) ([]byte, error) {
	key, err := ownKey(keyPEM)
	if err != nil {
		return nil, err
	}
	t := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificateRequest(rand.Reader, t, key)
	if err != nil {
		return nil, fmt.Errorf("ask for the certificate of %s: %w", quote(name), err)
	}
	return encode("CERTIFICATE REQUEST", der), nil
}

// ownKey reads what NewKey wrote. The parser's complaint stays here: it might
// quote what it choked on.
func ownKey(keyPEM []byte) (*ecdsa.PrivateKey, error) {
	if block, _ := pem.Decode(keyPEM); block != nil && block.Type == "PRIVATE KEY" {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if key, ok := key.(*ecdsa.PrivateKey); ok {
				return key, nil
			}
		}
	}
	return nil, plague.Refuse(plague.ErrInvalid, "the private key cannot be read", "remove its file: a new one is made")
}

// parseCSR reads a request that somebody unknown sent: one block, signed by its
// own key, a curve that we use ourselves, the one name, and nothing that asks for
// more. It gives the key and its fingerprint.
func parseCSR(data []byte, name string) (*ecdsa.PublicKey, string, error) {
	bad := func(what string) (*ecdsa.PublicKey, string, error) {
		return nil, "", plague.Refuse(plague.ErrInvalid, "the request for a certificate "+what, "`plague join` makes one that will do")
	}
	if len(data) > MaxCSR {
		return bad(fmt.Sprintf("has more than %d bytes", MaxCSR))
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(block.Headers) > 0 || len(rest) > 0 {
		return bad("is not one block of PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return bad("cannot be read")
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return bad("is not for a key on the curve P-256")
	}
	if csr.CheckSignature() != nil {
		return bad("is not signed by its own key")
	}
	if s := csr.Subject.Names; len(s) != 1 || !s[0].Type.Equal(oidCommonName()) || s[0].Value != name {
		return bad(fmt.Sprintf("is not for %s and nothing else", quote(name)))
	}
	if len(csr.Extensions) > 0 {
		return bad("asks for more than a name")
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return bad("has a key that cannot be read")
	}
	sum := sha256.Sum256(der)
	return key, hex.EncodeToString(sum[:]), nil
}
