package pki

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"plague"
)

// rolePrefix begins the URI that carries the role, purposePrefix that of a CA.
const (
	scheme        = "plague"
	rolePrefix    = "role:"
	purposePrefix = "ca:"
)

// The attributes of a subject that say who it is (RFC 5280 4.1.2.4, RFC 2985 5.2.1).
func oidCommonName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 4, 3} }
func oidEmail() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
}

// Identity is who a certificate says its holder is.
type Identity struct {
	Role        Role
	Name        string // the subject's common name
	Email       string // emailAddress of the subject, or the alternative name of that kind
	Serial      string // hexadecimal in capitals, as openssl and index.txt write it
	Fingerprint string // SHA-256 of the certificate, hexadecimal
	NotAfter    time.Time
}

// Peer says who is at the other end of a connection that ServerConfig,
// DoorConfig or ClientConfig let through; they have judged the certificate.
func Peer(state *tls.ConnectionState) (Identity, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Identity{}, plague.Refuse(ErrNoCertificate, "the other side showed no certificate", "")
	}
	return identify(state.PeerCertificates[0])
}

// identify reads a certificate. One that can be read in two ways (two names, two
// e-mails, two roles) is nobody's: a reader elsewhere might choose the other.
func identify(c *x509.Certificate) (Identity, error) {
	id := Identity{Serial: serialOf(c), NotAfter: c.NotAfter}
	sum := sha256.Sum256(c.Raw)
	id.Fingerprint = hex.EncodeToString(sum[:])
	bad := func(what string) (Identity, error) {
		return Identity{}, plague.Refuse(ErrMalformed, describe(c)+" "+what, "make it anew with certhelper")
	}
	var err error
	if id.Role, err = roleOf(c.URIs); err != nil {
		return bad(err.Error())
	}
	names, emails := subjectStrings(c)
	if len(names) > 1 {
		return bad("has more than one common name")
	}
	if len(emails) > 1 {
		return bad("has two different e-mail addresses")
	}
	id.Name, id.Email = strings.Join(names, ""), strings.Join(emails, "")
	if id.Email != "" && !validEmail(id.Email) {
		return bad(fmt.Sprintf("has %q where an e-mail address should be", id.Email))
	}
	if !printable(id.Name) {
		return bad("has a common name that cannot be printed")
	}
	if id.Role == RoleServer || id.Role == RoleBuilder {
		if err := ValidName(id.Name); err != nil {
			return bad("is refused: " + err.Error())
		}
	}
	return id, nil
}

// roleOf reads the role. One that this version does not know is an error, not
// RoleNone: what nobody understands must not pass as "made elsewhere".
func roleOf(uris []*url.URL) (Role, error) {
	role := RoleNone
	for _, u := range uris {
		word, ok := strings.CutPrefix(u.Opaque, rolePrefix)
		if u.Scheme != scheme || !ok {
			continue
		}
		r, err := ParseRole(word)
		if err != nil {
			return RoleNone, fmt.Errorf("has the unknown role %q", word)
		}
		if role != RoleNone && role != r {
			return RoleNone, fmt.Errorf("has two roles, %s and %s", role, r)
		}
		role = r
	}
	return role, nil
}

func purposeOf(c *x509.Certificate) Purpose {
	for _, u := range c.URIs {
		if word, ok := strings.CutPrefix(u.Opaque, purposePrefix); ok && u.Scheme == scheme {
			return Purpose(word)
		}
	}
	return ForAnything
}

// mark makes the URI of a role or a purpose.
func mark(prefix, word string) *url.URL { return &url.URL{Scheme: scheme, Opaque: prefix + word} }

// subjectStrings collects the common names and the distinct e-mails.
func subjectStrings(c *x509.Certificate) (names, emails []string) {
	seen := map[string]bool{}
	add := func(email string) {
		if !seen[email] {
			seen[email] = true
			emails = append(emails, email)
		}
	}
	for _, a := range c.Subject.Names {
		value, _ := a.Value.(string)
		switch {
		case a.Type.Equal(oidCommonName()):
			names = append(names, value)
		case a.Type.Equal(oidEmail()) && value != "":
			add(value)
		}
	}
	for _, e := range c.EmailAddresses {
		add(e)
	}
	return names, emails
}

// ValidName says whether name can name a server, a builder or a CA: names become
// parts of file names, of configuration and of log lines.
func ValidName(name string) error {
	ok := name != "" && len(name) <= 64
	for i, r := range name {
		letter := r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
		ok = ok && (letter || i > 0 && strings.ContainsRune("._-", r))
	}
	if ok {
		return nil
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q cannot be a name", name),
		"a name has up to 64 letters, digits, '.', '_' and '-', and begins with a letter or a digit")
}

// validEmail holds for the plain form a@b, without a display name, quotes or
// anything else that means something to a mail program, a shell or a log.
func validEmail(email string) bool {
	if len(email) > 254 || strings.ContainsAny(email, " \"'<>()[],;:\\/") || !printable(email) {
		return false
	}
	a, err := mail.ParseAddress(email)
	return err == nil && a.Address == email
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func serialOf(c *x509.Certificate) string {
	text := strings.ToUpper(c.SerialNumber.Text(16))
	if len(text)%2 == 1 {
		text = "0" + text
	}
	return text
}

// describe names a certificate in a sentence. What it quotes may come from an
// attacker, so it is quoted and short.
func describe(c *x509.Certificate) string {
	return fmt.Sprintf("the certificate of %s (serial %.40s)", quote(c.Subject.CommonName), serialOf(c))
}

func quote(name string) string {
	if len(name) > 80 {
		name = name[:80] + "…"
	}
	return fmt.Sprintf("%q", name)
}
