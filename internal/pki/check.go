package pki

import (
	"crypto/x509"
	"fmt"
	"time"

	"plague"
)

// CheckUser says what is wrong with a user's certificate before a connection is
// tried: the CA, the dates, the role, the e-mail. An empty wantEmail is not
// compared. The server checks all of it again.
func CheckUser(certPath, userCAPath, wantEmail string, now time.Time) error {
	data, _, err := readPEM(certPath)
	if err != nil {
		return fmt.Errorf("read your certificate: %w", err)
	}
	chain, err := certificates(certPath, data)
	if err != nil {
		return err
	}
	pool, err := LoadPool(userCAPath)
	if err != nil {
		return err
	}
	id, err := identify(chain[0])
	if err != nil {
		return fmt.Errorf("%s: %w", certPath, err)
	}
	if id.Role != RoleNone && id.Role != RoleUser {
		return plague.Refuse(ErrWrongRole, fmt.Sprintf("%s is a %s's certificate, not a user's", certPath, id.Role),
			"set user-cert to the file <your name>_key_and_cert.pem that the farm's administrator sent you")
	}
	if err := pool.verify(chain, x509.ExtKeyUsageClientAuth, now); err != nil {
		return fmt.Errorf("%s, checked against %s: %w", certPath, userCAPath, err)
	}
	if err := (Expect{Role: RoleUser}).admit(chain[0]); err != nil {
		return fmt.Errorf("%s: %w", certPath, err)
	}
	if wantEmail != "" && id.Email != wantEmail {
		return plague.Refuse(ErrWrongName, fmt.Sprintf("the e-mail is %s in the configuration and %s in the certificate %s", wantEmail, id.Email, certPath),
			"set email to the certificate's")
	}
	return nil
}

// CheckDaemon says what is wrong with the key and the certificate of a server or a
// builder: the file's mode, the CA, the dates, the role. Others at the other end of a
// connection judge it again.
func CheckDaemon(path, caPath string, role Role, now time.Time) (Identity, error) {
	if _, err := LoadKeyAndCert(path); err != nil {
		return Identity{}, err
	}
	data, _, err := readPEM(path)
	if err != nil {
		return Identity{}, err
	}
	chain, err := certificates(path, data)
	if err != nil {
		return Identity{}, err
	}
	pool, err := LoadPool(caPath)
	if err != nil {
		return Identity{}, err
	}
	id, err := identify(chain[0])
	if err != nil {
		return id, fmt.Errorf("%s: %w", path, err)
	}
	if id.Role != RoleNone { // one made elsewhere is known by its name or by heart
		err = (Expect{Role: role}).admit(chain[0])
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} { // each calls the other
		if err == nil {
			err = pool.verify(chain, use, now)
		}
	}
	if err != nil {
		return id, fmt.Errorf("%s, checked against %s: %w", path, caPath, err)
	}
	return id, nil
}
