package notify

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// TestReach: which addresses a hook may have.
func TestReach(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("169.254.7.0/24")}
	for _, c := range []struct {
		ip    string
		allow []netip.Prefix
		plain bool
		may   bool
	}{
		{"93.184.216.34", nil, false, true},
		{"10.1.2.3", nil, false, true}, // a company's own
		{"2001:db8::1", nil, false, true},
		{"127.0.0.1", nil, false, false},
		{"127.8.9.1", nil, false, false},
		{"::1", nil, false, false},
		{"::ffff:127.0.0.1", nil, false, false},
		{"0.0.0.0", nil, false, false},
		{"::", nil, false, false},
		{"169.254.169.254", nil, false, false},
		{"::ffff:169.254.169.254", nil, false, false},
		{"64:ff9b::a9fe:a9fe", nil, false, false},
		{"2002:a9fe:a9fe::1", nil, false, false},
		{"fe80::1", nil, false, false},
		{"fe80::1%eth0", nil, false, false},
		{"fd00:ec2::254", nil, false, false},
		{"224.0.0.1", nil, false, false},
		{"255.255.255.255", nil, false, false},
		{"169.254.7.1", allow, false, true},
		{"169.254.169.254", allow, false, false},
		{"10.1.2.3", allow, true, false},
		{"169.254.7.1", allow, true, true},
	} {
		h := Hook{URL: "https://h/", Allow: c.allow}
		if c.plain {
			h.URL = "http://h/"
		}
		if err := h.may(netip.MustParseAddr(c.ip)); (err == nil) != c.may {
			t.Errorf("%s, allowed %v, plain %v: %v", c.ip, c.allow, c.plain, err)
		}
	}
}

func TestParseEmail(t *testing.T) {
	parse := func(options map[string]string) (Email, error) {
		text := func(name string) string { return options[name] }
		return ParseEmail(text, text)
	}
	for _, c := range []struct {
		options map[string]string
		want    string // server:port tls signers
		says    string
	}{
		{map[string]string{}, ":0  []", ""},
		{map[string]string{"email_from": "f@x"}, "localhost:25 none []", ""},
		{map[string]string{"email_from": "f@x", "admin_emails": "a@x, b@x\nc@x a@x"}, "localhost:25 none [a@x b@x c@x]", ""},
		{map[string]string{"email_from": "f@x", "admin_emails": "a@x", "sign_emails": "s@x"}, "localhost:25 none [s@x]", ""},
		{map[string]string{"email_from": "f@x", "smtp_server": "mail.x"}, "mail.x:25 starttls []", ""},
		{map[string]string{"email_from": "f@x", "smtp_server": "mail.x", "smtp_tls": "tls"}, "mail.x:465 tls []", ""},
		{map[string]string{"email_from": "f@x", "smtp_server": "::1", "smtp_port": "2525"}, "::1:2525 none []", ""},
		{map[string]string{"email_from": "f"}, "", "not an e-mail address"},
		{map[string]string{"email_from": "f@x g@x"}, "", "not one address"},
		{map[string]string{"admin_emails": "a@x b"}, "", "admin_emails = b"},
		{map[string]string{"email_from": "f@x", "smtp_tls": "ssl"}, "", "none of starttls, tls, none"},
		{map[string]string{"email_from": "f@x", "smtp_port": "70000"}, "", "no port"},
		{map[string]string{"email_from": "f@x", "smtp_user": "u"}, "", "unprotected"},
		{map[string]string{"email_from": "f@x", "smtp_server": "m", "smtp_user": "u"}, "", "no file"},
	} {
		e, err := parse(c.options)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: %v, want %q", c.options, err, c.says)
			}
			continue
		}
		if got := fmt.Sprintf("%s:%d %s %v", e.Server, e.Port, e.TLS, e.Signers); err != nil || got != c.want {
			t.Errorf("%v: %s, %v, want %s", c.options, got, err, c.want)
		}
	}
}
