package notify

import (
	"context"
	"fmt"
	"net"
	"net/mail"
	"os"
	"slices"
	"strconv"
	"strings"

	"plague"
)

// Email says how mails leave the farm and who gets those that are for nobody's
// own job.
type Email struct {
	From     string   // the sender's address; empty: no mails
	Admins   []string // hear of builders in trouble and of repo scripts that failed
	Signers  []string // hear of what waits for a signature
	Server   string   // host of the mail server
	Port     int
	TLS      string // starttls, tls (from the first byte), none
	User     string // empty: the mail server asks for nobody
	Password string
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // default: TCP
}

// EmailOptions are the options of the server's section [Email].
func EmailOptions() []string {
	return []string{"email_from", "admin_emails", "sign_emails", "smtp_server", "smtp_port", "smtp_tls", "smtp_user", "smtp_password_file"}
}

// ParseEmail reads the section from its options' texts; an empty one is its
// default. path makes the name of a file absolute.
func ParseEmail(text func(option string) string, path func(option string) string) (Email, error) {
	e := Email{From: text("email_from"), Server: text("smtp_server"), TLS: text("smtp_tls"), User: text("smtp_user")}
	var err error
	if e.Admins, err = addresses("admin_emails", text("admin_emails")); err != nil {
		return e, err
	}
	if e.Signers, err = addresses("sign_emails", text("sign_emails")); err != nil {
		return e, err
	}
	if len(e.Signers) == 0 {
		e.Signers = e.Admins
	}
	if e.From == "" {
		return e, nil
	}
	from, err := addresses("email_from", e.From)
	if err != nil {
		return e, err
	}
	if len(from) != 1 {
		return e, wrong("email_from", e.From, "is not one address")
	}
	e.From = from[0]
	if err := e.server(text("smtp_port")); err != nil {
		return e, err
	}
	if e.User == "" {
		return e, nil
	}
	if e.TLS == "none" {
		return e, wrong("smtp_tls", "none", "would send the password of smtp_user unprotected")
	}
	e.Password, err = Secret(path("smtp_password_file"))
	return e, err
}

func (e *Email) server(port string) (err error) {
	if e.Server == "" {
		e.Server = "localhost"
	}
	if e.TLS == "" {
		e.TLS = "starttls"
		// The certificate of a mail server on the same machine is rarely one that
		// anybody could check, and nobody listens in between.
		if ip := net.ParseIP(e.Server); e.Server == "localhost" || ip != nil && ip.IsLoopback() {
			e.TLS = "none"
		}
	}
	switch {
	case e.TLS == "tls":
		e.Port = 465
	case e.TLS == "starttls" && e.User != "":
		e.Port = 587
	case e.TLS == "starttls" || e.TLS == "none":
		e.Port = 25
	default:
		return wrong("smtp_tls", e.TLS, "is none of starttls, tls, none")
	}
	if port == "" {
		return nil
	}
	if e.Port, err = strconv.Atoi(port); err != nil || e.Port < 1 || e.Port > 65535 {
		return wrong("smtp_port", port, "is no port")
	}
	return nil
}

// addresses reads e-mail addresses divided by commas, white space or lines.
func addresses(option, list string) ([]string, error) {
	var all []string
	for _, a := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		parsed, err := mail.ParseAddress(a)
		if err != nil {
			return nil, wrong(option, a, "is not an e-mail address")
		}
		if !slices.Contains(all, parsed.Address) {
			all = append(all, parsed.Address)
		}
	}
	return all, nil
}

func wrong(option, value, why string) error {
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s = %s %s", option, value, why), "")
}

// maxSecret bounds the file of a secret.
const maxSecret = 4 << 10

// Secret reads a password or key from a file that nobody else may read.
func Secret(file string) (string, error) {
	if file == "" {
		return "", plague.Refuse(plague.ErrInvalid, "no file of a secret is named", "put it into a file of mode 0600")
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", plague.Refuse(plague.ErrInvalid, "secret: "+err.Error(), "")
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("secret %s: others may read it (%s)", file, info.Mode()), "chmod 600 it")
	}
	if info.Size() > maxSecret {
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("secret %s has %d bytes, the limit is %d", file, info.Size(), maxSecret), "")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", plague.Refuse(plague.ErrInvalid, "secret: "+err.Error(), "")
	}
	s := strings.TrimSpace(string(data))
	if s == "" {
		return "", plague.Refuse(plague.ErrInvalid, "secret "+file+" is empty", "")
	}
	return s, nil
}
