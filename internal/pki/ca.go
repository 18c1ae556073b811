package pki

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"plague"
	"plague/internal/durable"
)

const (
	// DefaultLife is ten years, as in 2005: a farm must not stop because nobody
	// renewed. Whom the farm no longer trusts is removed from it, not waited out.
	DefaultLife = 3650 * 24 * time.Hour

	// skew is how far the clock of a new machine may be behind the CA's.
	skew = time.Hour
)

// CA is a certificate authority in a folder, laid out for openssl ca as the
// README of 2005 has it:
//
//	<name>_ca_cert.pem  private/<name>_ca_key.pem  certs/ crl/ newcerts/  index.txt serial
type CA struct {
	dir  string
	name string
	cert *x509.Certificate
	key  crypto.Signer
}

// Authority is what a new CA should say.
type Authority struct {
	Name       string // of its files, and of --caname
	CommonName string // empty: Name
	Email      string
	Subject    Subject
	Purpose    Purpose
}

// CreateCA makes a CA of the given name in dir. Under the README's two names it
// is for what they say there: buildsystem for server and builders, users for
// packagers; under any other for anything.
func CreateCA(dir, name string, s Subject) error {
	return CreateAuthority(dir, Authority{Name: name, Subject: s, Purpose: PurposeNamed(name)})
}

// PurposeNamed is what a CA of this name is for when nothing else says it.
func PurposeNamed(name string) Purpose {
	if p, err := ParsePurpose(name); err == nil {
		return p
	}
	return ForAnything
}

// CreateAuthority is CreateCA with everything said. It never replaces a CA: what
// that CA has issued would be worth nothing from then on.
func CreateAuthority(dir string, a Authority) error {
	if err := ValidName(a.Name); err != nil {
		return err
	}
	certFile, keyFile := caFiles(a.Name)
	for _, f := range []string{certFile, keyFile} {
		if _, err := os.Lstat(filepath.Join(dir, f)); !errors.Is(err, fs.ErrNotExist) {
			return plague.Refuse(plague.ErrConflict, fmt.Sprintf("%s is there already", filepath.Join(dir, f)),
				"a CA is never replaced: choose another folder or name, or remove the file yourself")
		}
	}
	certPEM, keyPEM, err := a.sign()
	if err != nil {
		return err
	}
	d, err := layOut(dir)
	if err != nil {
		return fmt.Errorf("make the folder of the CA: %w", err)
	}
	defer d.Close()
	if err := d.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return fmt.Errorf("keep the key of the CA: %w", err)
	}
	if err := d.WriteFile(certFile, certPEM, 0o644); err != nil { // last: a folder that has it is a whole CA
		return fmt.Errorf("keep the certificate of the CA: %w", err)
	}
	return nil
}

func caFiles(name string) (cert, key string) {
	return name + "_ca_cert.pem", "private/" + name + "_ca_key.pem"
}

// layOut makes the folders and files that openssl ca expects beside the two PEMs.
func layOut(dir string) (*durable.Dir, error) {
	d, err := durable.Open(dir, 0o755)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"certs", "crl", "newcerts"} {
		err = errors.Join(err, d.MkdirAll(sub, 0o755))
	}
	err = errors.Join(err, d.MkdirAll("private", 0o700), d.Chmod("private", 0o700))
	for _, f := range []struct{ name, content string }{{"index.txt", ""}, {"serial", "01\n"}} {
		if _, statErr := d.Stat(f.name); errors.Is(statErr, fs.ErrNotExist) {
			err = errors.Join(err, d.WriteFile(f.name, []byte(f.content), 0o644))
		}
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (a Authority) sign() (certPEM, keyPEM []byte, err error) {
	subject, err := a.Subject.name(cmp.Or(a.CommonName, a.Name), a.Email)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-skew), NotAfter: now.Add(DefaultLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
		MaxPathLenZero: true, // it issues to members of the farm, never to another CA
	}
	if a.Purpose != ForAnything {
		t.URIs = []*url.URL{mark(purposePrefix, string(a.Purpose))}
	}
	return sign(t, nil)
}

// sign makes a key and its certificate, signed by ca or, when that is nil, by itself.
func sign(t *x509.Certificate, ca *CA) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	parent, signer := t, crypto.Signer(key)
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	if certPEM, err = certify(t, parent, key.Public(), signer); err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("write the key of %s: %w", quote(t.Subject.CommonName), err)
	}
	return certPEM, encode("PRIVATE KEY", keyDER), nil
}

// certify makes the certificate of a key that may be somebody else's.
func certify(t, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", quote(t.Subject.CommonName), err)
	}
	return encode("CERTIFICATE", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// newSerial draws 128 bits, so that two CAs of the same name never issue the
// same serial and nobody can tell what will be issued next.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	b[0] |= 1 << 6 // never short, never zero
	return new(big.Int).SetBytes(b), nil
}

// LoadCA opens a CA that CreateCA, the certhelper of 2005 or openssl has made.
func LoadCA(dir, name string) (*CA, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	certFile, keyFile := caFiles(name)
	certPath := filepath.Join(dir, certFile)
	pair, err := LoadKeyPair(filepath.Join(dir, keyFile), certPath)
	if err != nil {
		return nil, fmt.Errorf("open the CA %s in %s: %w", name, dir, err)
	}
	if !isAuthority(pair.Leaf) {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s in %s is not the certificate of a CA", describe(pair.Leaf), certPath),
			"make a CA with: certhelper ca")
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the key of the CA %s cannot sign", name), "")
	}
	return &CA{dir: dir, name: name, cert: pair.Leaf, key: signer}, nil
}

// isAuthority holds for a certificate that may sign others, and for the
// self-signed ones of version 1 that old openssl made for CAs.
func isAuthority(c *x509.Certificate) bool {
	if c.BasicConstraintsValid {
		return c.IsCA
	}
	return c.Version < 3 && bytes.Equal(c.RawSubject, c.RawIssuer)
}

// Purpose says what the CA is for.
func (ca *CA) Purpose() Purpose { return purposeOf(ca.cert) }

// Subject is the CA's own; what it issues has the same unless asked otherwise.
func (ca *CA) Subject() Subject { return subjectOf(ca.cert.Subject) }
