package notify

import (
	"fmt"
	"net/netip"
	"path"
	"strings"
	"testing"

	"plague/internal/durable"
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

func lines(word string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s %d\n", word, i+1)
	}
	return b.String()
}

// TestLogRule: which logs a mail shows, by the rule of 2005.
func TestLogRule(t *testing.T) {
	for name, c := range map[string]struct {
		build, root, job string
		tail             []string // "word from to", or a line
		first            string
	}{
		"nothing":                    {},
		"build alone":                {build: lines("b", 40), root: lines("r", 3), tail: []string{"b 11 40"}},
		"ten are enough":             {build: lines("b", 10), root: lines("r", 3), tail: []string{"b 1 10"}},
		"few":                        {build: lines("b", 9), root: lines("r", 40), job: lines("j", 1), tail: []string{"b 1 9", separator(), "r 11 40"}},
		"few, and root says nothing": {build: lines("b", 2), job: lines("j", 3), tail: []string{"b 1 2", separator(), "j 1 3"}},
		"no build log":               {root: lines("r", 3) + "error: dependency\n", job: lines("j", 2), tail: []string{"r 1 3", "error: dependency", separator(), "j 1 2"}, first: "error: dependency"},
		"job alone":                  {job: lines("j", 2), tail: []string{"j 1 2"}},
		"4096 bytes":                 {build: lines(strings.Repeat("x", 500), 20), tail: []string{strings.Repeat("x", 500) + " 13 20", separator(), "r 1 1"}, root: lines("r", 1)},
		"error before the tail":      {build: "x.c:1: error: boom\n" + lines("b", 50), tail: []string{"b 21 50"}, first: "x.c:1: error: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := durable.Open(t.TempDir(), 0o755)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for log, text := range map[string]string{"build.log": c.build, "root.log": c.root, "job.log": c.job} {
				if text == "" {
					continue
				}
				if err := d.WriteFile(path.Join(log), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			for _, w := range c.tail {
				var word string
				var from, to int
				if n, err := fmt.Sscan(w, &word, &from, &to); n < 3 || err != nil {
					want = append(want, w)
					continue
				}
				for i := from; i <= to; i++ {
					want = append(want, fmt.Sprint(word, " ", i))
				}
			}
			first, tail := logsOf(d, ".")
			if strings.Join(tail, "\n") != strings.Join(want, "\n") || first != c.first {
				t.Errorf("first error %q, tail\n%s\nwant %q\n%s", first, strings.Join(tail, "\n"), c.first, strings.Join(want, "\n"))
			}
		})
	}
}

// TestFirstError: the line that a packager looks for, in logs as they are.
func TestFirstError(t *testing.T) {
	for log, want := range map[string]string{
		"":              "",
		"all is well\n": "",
		"checking for error_at_line... yes\nfoo.c:12:5: fatal error: zlib.h: No such file or directory\n":   "foo.c:12:5: fatal error: zlib.h: No such file or directory",
		"make[1]: *** [Makefile:3: all] Error 1\nerror: Bad exit status from /var/tmp/rpm-tmp.x (%build)\n": "error: Bad exit status from /var/tmp/rpm-tmp.x (%build)",
		"Traceback (most recent call last):\n  File\nKeyboardInterrupt\n":                                   "Traceback (most recent call last):",
		"a.o: undefined reference to `main'\ncollect2: error: ld returned 1 exit status\n":                  "a.o: undefined reference to `main'",
		" Problem: nothing provides libfoo needed by x\n":                                                   "Problem: nothing provides libfoo needed by x",
		"/bin/sh: cmake: command not found\n":                                                               "/bin/sh: cmake: command not found",
		"gcc -Werror -c errors.c\nFAILED: test 3\n":                                                         "FAILED: test 3",
		"\x1b[31merror:\x1b[0m bold\n":                                                                      "error: bold",
		strings.Repeat("y", 200<<10) + "\nerror: after a long line":                                         "error: after a long line",
	} {
		got := FirstError(strings.NewReader(log))
		if got != want {
			t.Errorf("%.60q: %q, want %q", log, got, want)
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
