package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"plague"
)

// maxPEM bounds the PEM files that are read, in bytes: a bundle of a hundred CAs fits.
const maxPEM = 1 << 20

// LoadKeyAndCert reads a private key and its certificate out of one PEM file, in
// either order: RSA or EC, as PKCS 1, SEC 1 or PKCS 8, not encrypted.
func LoadKeyAndCert(path string) (tls.Certificate, error) { return LoadKeyPair(path, path) }

// LoadKeyPair reads a private key and its certificate out of two PEM files, which
// may be the same. A key that others can read is refused: it may be known already.
func LoadKeyPair(keyPath, certPath string) (tls.Certificate, error) {
	keyPEM, mode, err := readPEM(keyPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the private key: %w", err)
	}
	certPEM := keyPEM
	if certPath != keyPath {
		if certPEM, _, err = readPEM(certPath); err != nil {
			return tls.Certificate{}, fmt.Errorf("read the certificate: %w", err)
		}
	}
	if err := checkKey(keyPath, keyPEM, mode); err != nil {
		return tls.Certificate{}, err
	}
	if _, err := certificates(certPath, certPEM); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, plague.Refuse(plague.ErrInvalid,
			fmt.Sprintf("the key in %s and the certificate in %s cannot be used together (%s)", keyPath, certPath, err),
			"put the key and the certificate that certhelper made for it side by side")
	}
	return pair, nil
}

// checkKey says why a file cannot serve as a key before a parser sees it: a
// parser's complaint might quote what it choked on.
func checkKey(path string, data []byte, mode fs.FileMode) error {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the private key in %s is encrypted, and nobody is there to type its password", path),
				"decrypt it with: openssl pkey")
		}
		if mode.Perm()&0o077 != 0 {
			return plague.Refuse(plague.ErrDenied, fmt.Sprintf("the private key in %s can be read by others (mode %04o)", path, mode.Perm()),
				"run: chmod 600 "+path)
		}
		return nil
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s has no private key", path),
		"use the file that certhelper calls <name>_key_and_cert.pem")
}

// Pool is a set of CAs that a door trusts. The nil Pool trusts nobody.
type Pool struct {
	path string
	list []*x509.Certificate
	set  *x509.CertPool
}

// LoadPool reads the certificates of one or more CAs out of a PEM file.
func LoadPool(path string) (*Pool, error) {
	data, _, err := readPEM(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA's certificate: %w", err)
	}
	return ParsePool(path, data)
}

// ParsePool is LoadPool for a process that is given what the file at path held.
func ParsePool(path string, data []byte) (*Pool, error) {
	list, err := certificates(path, data)
	if err != nil {
		return nil, err
	}
	p := &Pool{path: path, list: list, set: x509.NewCertPool()}
	for _, c := range list {
		if !isAuthority(c) {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s in %s is not a CA's", describe(c), path),
				"use the file that certhelper calls <name>_ca_cert.pem")
		}
		p.set.AddCert(c)
	}
	return p, nil
}

// names lists the CAs for a sentence.
func (p *Pool) names() string {
	var names []string
	for _, c := range p.list {
		names = append(names, quote(c.Subject.CommonName))
	}
	return strings.Join(names, " or ")
}

func (p *Pool) holds(c *x509.Certificate) bool {
	for _, ca := range p.list {
		if bytes.Equal(ca.Raw, c.Raw) {
			return true
		}
	}
	return false
}

// LoadPinned reads the certificate that Expect.Pinned takes, such as the
// server_cert.pem which the README has copied to each builder.
func LoadPinned(path string) ([]byte, error) {
	c, err := loadLeaf(path)
	if err != nil {
		return nil, err
	}
	return c.Raw, nil
}

// Describe reads who the certificate in a PEM file says its holder is; nothing
// is checked but that it can be read.
func Describe(path string) (Identity, error) {
	c, err := loadLeaf(path)
	if err != nil {
		return Identity{}, err
	}
	return identify(c)
}

// loadLeaf reads the first certificate of a file, which is its holder's.
func loadLeaf(path string) (*x509.Certificate, error) {
	data, _, err := readPEM(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	list, err := certificates(path, data)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// certificates parses all certificates of a PEM file; there is at least one.
func certificates(path string, data []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("a certificate in %s cannot be read (%s)", path, err),
				"copy it anew or make it anew with certhelper")
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s has no certificate", path),
			"a certificate there begins with -----BEGIN CERTIFICATE-----")
	}
	return list, nil
}

// readPEM reads a file and the mode of that same file, whatever happens to its
// name meanwhile.
func readPEM(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w (%w): make it with certhelper, or correct the path", err, plague.ErrNotFound)
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxPEM {
		return nil, 0, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is larger than %d bytes, which no PEM file should be", path, maxPEM), "")
	}
	return data, info.Mode(), nil
}
