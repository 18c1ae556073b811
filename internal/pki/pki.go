// Package pki makes and judges certificates: the two CAs of a farm, the
// certificates they issue, and a tls.Config for each door. It is the only room
// that knows crypto/x509; the others see Identity, Pool, Expect and tls.Config.
//
// Who somebody is takes three proofs: the CA that the door trusts, the role in
// the certificate, and the name (or e-mail) in it. docs/adr/0003-certificate-roles.md says why.
package pki

import (
	"fmt"

	"plague"
)

// A Role is what the holder of a certificate may be. It stands in the certificate
// as a URI among the subject's alternative names: plague:role:builder.
type Role string

const (
	RoleNone    Role = "" // made elsewhere: known by its name, its e-mail or by heart (Expect)
	RoleServer  Role = "server"
	RoleBuilder Role = "builder"
	RoleUser    Role = "user"
)

// ParseRole reads a role by its name; RoleNone is not one that can be asked for.
func ParseRole(word string) (Role, error) {
	switch r := Role(word); r {
	case RoleServer, RoleBuilder, RoleUser:
		return r, nil
	}
	return RoleNone, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("unknown role %q", word), "the roles are server, builder and user")
}

// A Purpose is what a CA is for. It stands in the CA's certificate as a URI
// among the alternative names (plague:ca:users), so it cannot get lost.
type Purpose string

const (
	ForAnything    Purpose = ""            // made elsewhere, or under a name of its own
	ForBuildSystem Purpose = "buildsystem" // servers and builders
	ForUsers       Purpose = "users"       // packagers
)

// ParsePurpose reads a purpose by its name.
func ParsePurpose(word string) (Purpose, error) {
	switch p := Purpose(word); p {
	case ForBuildSystem, ForUsers:
		return p, nil
	}
	return ForAnything, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("unknown purpose %q of a CA", word),
		"a CA is for buildsystem (server and builders) or for users (packagers)")
}

// allows says whether a CA for p may issue certificates of role r.
func (p Purpose) allows(r Role) bool {
	switch p {
	case ForBuildSystem:
		return r == RoleServer || r == RoleBuilder
	case ForUsers:
		return r == RoleUser
	}
	return true
}

// Why a certificate was refused. Each is a kind of plague.ErrDenied, and comes
// wrapped in a sentence that names the certificate, the rule and the remedy.
var (
	ErrNoCertificate = fmt.Errorf("no certificate: %w", plague.ErrDenied)
	ErrOtherCA       = fmt.Errorf("certificate of another CA: %w", plague.ErrDenied)
	ErrExpired       = fmt.Errorf("certificate has ended: %w", plague.ErrDenied)
	ErrNotYetValid   = fmt.Errorf("certificate is not valid yet: %w", plague.ErrDenied)
	ErrWrongRole     = fmt.Errorf("certificate of another role: %w", plague.ErrDenied)
	ErrWrongName     = fmt.Errorf("certificate of another name: %w", plague.ErrDenied)
	ErrUnknown       = fmt.Errorf("certificate without a role that nobody vouches for: %w", plague.ErrDenied)
	ErrMalformed     = fmt.Errorf("certificate that cannot be relied on: %w", plague.ErrDenied)
)
