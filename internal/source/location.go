package source

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"plague"
)

// A location is a repository's address in parts that have one spelling only: what
// is compared with the list of allowed ones is what is asked.
type location struct {
	protocol string
	host     string // lower case, with its port unless that is the protocol's own; "" on this machine
	path     string // absolute and clean
}

var hostPattern = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// userPattern is what may stand before the @ of an address.
var userPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

const maxURL = 2000

// protocols that each kind may speak; all others, and all helpers such as ext::,
// are refused.
func protocols(k Kind) []string {
	switch k {
	case Git:
		return []string{"https", "http", "git", "ssh", "file"}
	case SVN:
		return []string{"https", "http", "svn", "svn+ssh", "file"}
	case CVS:
		return []string{"pserver", "ext", "local"}
	}
	return nil
}

func defaultPort(protocol string) string {
	return map[string]string{"https": "443", "http": "80", "git": "9418", "ssh": "22", "svn+ssh": "22", "svn": "3690", "pserver": "2401"}[protocol]
}

// parseURL takes an address apart, or says why it is none that we ask.
func parseURL(s string, allowed []string) (location, error) {
	if err := plain(s); err != nil {
		return location{}, err
	}
	if strings.Contains(s, "::") && !strings.Contains(s, "://[") {
		return location{}, refuse("the address %q calls a helper program", s, "name a repository by protocol://host/path")
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return location{}, refuse("%q is no address of a repository", s, "write protocol://host/path")
	}
	if !slices.Contains(allowed, u.Scheme) {
		return location{}, refuse("the address %q has a protocol that is not asked", s, "use one of "+strings.Join(allowed, ", "))
	}
	if strings.ContainsAny(s, "%?#\\") {
		return location{}, refuse("the address %q has an escape, a query or a fragment", s, "write the path as it is, without %, ?, # and \\")
	}
	if err := checkUser(u); err != nil {
		return location{}, err
	}
	return newLocation(u.Scheme, u.Host, u.Path)
}

// plain refuses what no address has, so that errors and logs can show the rest.
func plain(s string) error {
	if len(s) > maxURL {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("an address has %d bytes, more than %d", len(s), maxURL), "shorten it")
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return refuse("the address %q has spaces, control or foreign characters", s, "write printable ASCII")
		}
	}
	return nil
}

// checkUser keeps secrets out of addresses, which logs and pages show.
func checkUser(u *url.URL) error {
	if u.User == nil {
		return nil
	}
	if _, has := u.User.Password(); has {
		return plague.Refuse(plague.ErrInvalid, "an address of "+fmt.Sprintf("%q", u.Host)+" has a password", "take it out: sources are read anonymously, or with the key of the user who fetches")
	}
	if u.Scheme != "ssh" && u.Scheme != "svn+ssh" || !userPattern.MatchString(u.User.Username()) {
		return plague.Refuse(plague.ErrInvalid, "an address of "+fmt.Sprintf("%q", u.Host)+" names a user", "take the user out: only ssh has one, of letters, digits and . _ -")
	}
	return nil
}

func newLocation(protocol, host, p string) (location, error) {
	local := protocol == "file" || protocol == "local"
	if local && host != "" || !local && !hostPattern.MatchString(host) {
		return location{}, refuse("%q is no host of a repository", host, "write protocol://host/path; a host has letters, digits, dots and hyphens")
	}
	if p == "" && !local {
		p = "/"
	}
	if !path.IsAbs(p) || strings.TrimSuffix(p, "/") != strings.TrimSuffix(path.Clean(p), "/") {
		return location{}, refuse("%q is no clean path of a repository", p, "write it without . and .. and double slashes")
	}
	host = strings.TrimSuffix(strings.ToLower(host), ":"+defaultPort(protocol))
	return location{protocol, host, path.Clean(p)}, nil
}

var cvsRootPattern = regexp.MustCompile(`^:(pserver|ext):(?:([^@:/]+)@)?([^@:/]+):([0-9]{0,5})(/.*)$`)

// parseCVSRoot takes a CVSROOT apart. Options (;proxy=…) and methods that start
// programs are refused; :ext: starts CVS_RSH alone.
func parseCVSRoot(s string) (location, error) {
	if err := plain(s); err != nil {
		return location{}, err
	}
	if strings.HasPrefix(s, "/") {
		return newLocation("local", "", s)
	}
	m := cvsRootPattern.FindStringSubmatch(s)
	if m == nil || m[2] != "" && !userPattern.MatchString(m[2]) {
		// not shown: what does not fit may hold a password
		return location{}, plague.Refuse(plague.ErrInvalid, "the cvs_root is none that is asked", "write :pserver:user@host:/path or :ext:user@host:/path, without password and options, or /path")
	}
	host := m[3]
	if m[4] != "" {
		host += ":" + m[4]
	}
	return newLocation(m[1], host, m[5])
}

// under says whether l is what a, an entry of the list of allowed ones, names,
// or below it.
func (l location) under(a location) bool {
	return l.protocol == a.protocol && l.host == a.host &&
		(a.path == "/" || l.path == a.path || strings.HasPrefix(l.path, a.path+"/"))
}

// permit looks the location up in the list. Without one the administrator's own
// address stands for itself, if it is not on this machine.
func (l location) permit(kind Kind, list []string) error {
	local := l.protocol == "file" || l.protocol == "local"
	if len(list) == 0 && !local {
		return nil
	}
	for _, entry := range list {
		a, err := parseURL(entry, protocols(kind))
		if err != nil {
			return fmt.Errorf("list of allowed sources: %w", err)
		}
		if l.under(a) {
			return nil
		}
	}
	return plague.Refuse(plague.ErrDenied, fmt.Sprintf("sources at %q are not allowed for this target", l), "ask the administrator to add them to the target's list of allowed sources")
}

func (l location) String() string { return l.protocol + "://" + l.host + l.path }

func refuse(format, what, hint string) error {
	if len(what) > 100 {
		what = what[:100] + "…"
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf(format, what), hint)
}
