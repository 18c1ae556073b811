package wire

import "context"

// Calls of the users' door about certificates.
const (
	CallCertificates      = "certificates"
	CallRevokeCertificate = "revoke_certificate"
)

// CertificateRecord is one of what certificates answers with.
type CertificateRecord struct {
	Fingerprint string // SHA-256, hexadecimal
	Serial      string
	Role        string // server, builder, user; "": it was made elsewhere and has none
	Name        string // a user's e-mail
	Until       int64  // unix seconds
	State       string // good, revoked, ended
	RevokedAt   int64  // unix seconds; 0: it is not
	RevokedBy   string
	Why         string
}

// Revocation is what revoke_certificate takes. Certificate is one that may never have
// been seen; then Which is its fingerprint.
type Revocation struct {
	Which       string // name, serial or fingerprint
	Why         string
	Certificate *CertificateRecord
}

// Certificates lists what the farm has issued or seen.
func (u *User) Certificates(ctx context.Context) ([]CertificateRecord, error) {
	return call[[]CertificateRecord](ctx, u.RPC, CallCertificates)
}

// RevokeCertificate has certificates refused from now on.
func (u *User) RevokeCertificate(ctx context.Context, in Revocation) (string, error) {
	return call[string](ctx, u.RPC, CallRevokeCertificate, in)
}
