package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"plague"
)

// Subject is what openssl asks for besides the name and the e-mail. All of it
// may be empty; none of it decides anything.
type Subject struct {
	Country      string // two letters
	State        string // or province
	Locality     string // such as a city
	Organization string
	Unit         string
}

// name makes the subject of a certificate: the e-mail goes into it too, because
// the clients and servers of 2005 look for it nowhere else.
func (s Subject) name(commonName, email string) (pkix.Name, error) {
	if err := s.check(commonName, email); err != nil {
		return pkix.Name{}, err
	}
	n := pkix.Name{
		CommonName: commonName, Country: list(s.Country), Province: list(s.State), Locality: list(s.Locality),
		Organization: list(s.Organization), OrganizationalUnit: list(s.Unit),
	}
	if email != "" {
		// RFC 2985 wants an IA5String; left alone, Go would write UTF8String.
		value := asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(email)}
		n.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidEmail(), Value: value}}
	}
	return n, nil
}

// check applies the upper bounds of X.520: openssl refuses to read more.
func (s Subject) check(commonName, email string) error {
	invalid := func(text, hint string) error { return plague.Refuse(plague.ErrInvalid, text, hint) }
	fields := []struct {
		what, value string
		most        int
	}{
		{"common name", commonName, 64}, {"country", s.Country, 2}, {"state or province", s.State, 128},
		{"locality", s.Locality, 128}, {"organization", s.Organization, 64}, {"organizational unit", s.Unit, 64},
	}
	for _, f := range fields {
		if len([]rune(f.value)) > f.most || !printable(f.value) {
			return invalid(fmt.Sprintf("the %s %s is too long or cannot be printed", f.what, quote(f.value)),
				fmt.Sprintf("use at most %d characters", f.most))
		}
	}
	if commonName == "" {
		return invalid("a certificate without a common name would be nobody's", "give it a name")
	}
	if s.Country != "" && len(s.Country) != 2 {
		return invalid(fmt.Sprintf("the country %q is not two letters", s.Country), "use a code such as US, or leave it blank")
	}
	if email != "" && !validEmail(email) {
		return invalid(fmt.Sprintf("%s is not an e-mail address", quote(email)), "write it as name@example.org")
	}
	return nil
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// subjectOf reads back what name wrote.
func subjectOf(n pkix.Name) Subject {
	first := func(l []string) string {
		if len(l) == 0 {
			return ""
		}
		return l[0]
	}
	return Subject{
		Country: first(n.Country), State: first(n.Province), Locality: first(n.Locality),
		Organization: first(n.Organization), Unit: first(n.OrganizationalUnit),
	}
}

// oneLine writes a subject as openssl does in index.txt: /C=US/CN=builder1.
func oneLine(c *x509.Certificate) string {
	var b strings.Builder
	for _, a := range c.Subject.Names {
		value, _ := a.Value.(string)
		b.WriteString("/" + attribute(a.Type) + "=")
		for _, ch := range []byte(value) {
			if ch < ' ' || ch > '~' {
				fmt.Fprintf(&b, `\x%02X`, ch)
				continue
			}
			b.WriteByte(ch)
		}
	}
	return b.String()
}

func attribute(t asn1.ObjectIdentifier) string {
	switch t.String() {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case oidEmail().String():
		return "emailAddress"
	}
	return t.String()
}
