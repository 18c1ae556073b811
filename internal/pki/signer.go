package pki

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"plague"
	"plague/internal/durable"
)

// TokenLife is how long a token can be used.
const TokenLife = time.Hour

// tokenFolder is below private, which is root's or the signer's alone.
const tokenFolder = "private/tokens"

// permit is a token as its CA keeps it: without the secret. There is one for each
// name; a newer one takes its place.
type permit struct {
	Hash  string    `json:"hash"` // SHA-256 of the secret
	Until time.Time `json:"until"`
	By    string    `json:"by"`             // who made it
	Key   string    `json:"key,omitempty"`  // fingerprint of the key that has used it: nobody else can
	Cert  string    `json:"cert,omitempty"` // PEM; given again to that key, whose owner may not have got it
}

// Issued is a certificate that was made for a request.
type Issued struct {
	Cert []byte // PEM
	By   string // who had allowed it
	Identity
}

// Permit makes a token: one key may get the certificate of the builder name
// before until. The tokens made for that name before are worth nothing then.
func (ca *CA) Permit(name, by string, until time.Time) (Token, error) {
	if err := ca.mayIssue(Request{Role: RoleBuilder, Name: name}, time.Now()); err != nil {
		return Token{}, err
	}
	t, err := newToken(name, ca.cert)
	if err != nil {
		return Token{}, err
	}
	return t, ca.withPermits(func(d *durable.Dir) error {
		return writePermit(d, name, permit{Hash: hashed(t.Secret[:]), Until: until, By: by})
	})
}

// Enrol gives a certificate, valid for life (0: DefaultLife), to whoever has the
// token of name: to the key that comes first, and to that one as often as it asks.
func (ca *CA) Enrol(name string, secret, csr []byte, life time.Duration, now time.Time) (Issued, error) {
	var issued Issued
	if err := ValidName(name); err != nil {
		return issued, err
	}
	err := ca.withPermits(func(d *durable.Dir) error {
		p, err := readPermit(d, name)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare([]byte(p.Hash), []byte(hashed(secret))) != 1 || !now.Before(p.Until) {
			return refusedToken(name)
		}
		key, print, err := parseCSR(csr, name)
		if err != nil {
			return err
		}
		if p.Key != "" && p.Key != print {
			return refusedToken(name)
		}
		if p.Cert == "" {
			p.Key = print
			if err := writePermit(d, name, p); err != nil { // from here on it is used
				return err
			}
			cert, err := ca.issueFor(Request{Role: RoleBuilder, Name: name, Life: life, Away: true}, key, now)
			if err != nil {
				return err
			}
			p.Cert = string(cert)
			if err := writePermit(d, name, p); err != nil {
				return err
			}
		}
		issued, err = issuedOf([]byte(p.Cert), p.By)
		return err
	})
	return issued, err
}

// refusedToken does not say which of these it is: whoever guesses learns nothing.
func refusedToken(name string) error {
	return plague.Refuse(plague.ErrDenied, fmt.Sprintf("there is no such token for %s: it is mistyped, older than %s, or used", quote(name), TokenLife),
		"make a new one on the CA's machine: plague builder token "+name)
}

// issueFor is Issue for a key that is not ours.
func (ca *CA) issueFor(r Request, key any, now time.Time) ([]byte, error) {
	t, err := ca.template(r, now)
	if err != nil {
		return nil, err
	}
	cert, err := certify(t, ca.cert, key, ca.key)
	if err != nil {
		return nil, err
	}
	if err := ca.record(cert); err != nil {
		return nil, fmt.Errorf("record the certificate in %s: %w", ca.dir, err)
	}
	return cert, nil
}

func issuedOf(certPEM []byte, by string) (Issued, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return Issued{}, errors.New("the CA's record of a token is damaged")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Issued{}, err
	}
	id, err := identify(c)
	return Issued{Cert: certPEM, By: by, Identity: id}, err
}

// withPermits lets one process at a time look at the tokens and change them.
func (ca *CA) withPermits(f func(*durable.Dir) error) error {
	d, err := durable.Open(ca.dir, 0o755)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := errors.Join(d.MkdirAll(tokenFolder, 0o700), d.Chmod(tokenFolder, 0o700)); err != nil {
		return fmt.Errorf("make the folder of the tokens: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(ca.dir, tokenFolder, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the tokens: %w", err)
	}
	return f(d)
}

func readPermit(d *durable.Dir, name string) (permit, error) {
	var p permit
	data, err := d.ReadFile(tokenFolder + "/" + name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return p, refusedToken(name)
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("the record of the token of %s: %w", name, err)
	}
	return p, nil
}

func writePermit(d *durable.Dir, name string, p permit) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := d.WriteFile(tokenFolder+"/"+name+".json", data, 0o600); err != nil {
		return fmt.Errorf("keep the token of %s: %w", name, err)
	}
	return nil
}

func hashed(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}
