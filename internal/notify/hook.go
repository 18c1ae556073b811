package notify

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"plague"
)

// A Hook is an address of somebody's that is called with each event he wants.
type Hook struct {
	Name   string
	URL    string
	Secret string         // signs the calls
	Target string         // only what concerns this target; empty: everything of the farm
	What   []string       // kinds of event; empty: job and published
	Allow  []netip.Prefix // addresses that are refused otherwise, and those that http:// may go to
}

// hookKinds are the kinds of event that a hook may want. What the farm says of
// its own mails and hooks is not among them: a hook that fails would be told so.
func hookKinds() []string {
	return []string{"job", "arch_job", "arches", "published", "repo_script", "builder", "user", "refused", "farm", "certificate"}
}

// ParseHook reads one line of configuration,
//
//	name = https://host/path secret=FILE [target=NAME] [what=job,published] [allow=10.1.0.0/16,…]
//
// with the secret in a file of its own. path makes the name of a file absolute.
func ParseHook(name, value string, path func(string) string) (Hook, error) {
	h := Hook{Name: name}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`).MatchString(name) {
		return h, wrong("hook", name, "has a name with other characters than letters, digits, dot, dash and underscore")
	}
	words := strings.Fields(value)
	if len(words) == 0 {
		return h, wrong("hook "+name, value, "has no address")
	}
	h.URL = words[0]
	u, err := url.Parse(h.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return h, wrong("hook "+name, "…", "is not https://host/path without a password in it") // what it is may be secret
	}
	for _, w := range words[1:] {
		if err := h.option(w, path); err != nil {
			return h, err
		}
	}
	if h.Secret == "" {
		return h, wrong("hook "+name, "…", "has no secret=FILE: its reader could not tell who calls")
	}
	if u.Scheme == "http" && len(h.Allow) == 0 {
		return h, wrong("hook "+name, "…", "is http://, which goes to addresses that allow= names and nowhere else")
	}
	return h, nil
}

func (h *Hook) option(word string, path func(string) string) (err error) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "secret":
		h.Secret, err = Secret(path(value))
		return err
	case "target":
		h.Target = value
		return nil
	case "what":
		h.What = strings.Split(value, ",")
		for _, w := range h.What {
			if !slices.Contains(hookKinds(), w) {
				return wrong("hook "+h.Name, word, "names no kind of event; they are "+strings.Join(hookKinds(), ", "))
			}
		}
		return nil
	case "allow":
		for _, text := range strings.Split(value, ",") {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return wrong("hook "+h.Name, word, "is not a list of networks such as 10.1.0.0/16")
			}
			h.Allow = append(h.Allow, p.Masked())
		}
		return nil
	}
	hint := ""
	if near := plague.Nearest(key, []string{"secret", "target", "what", "allow"}); near != "" {
		hint = "did you mean " + near + "?"
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("hook %s: unknown %q", h.Name, key), hint)
}

// kind says whether the hook wants events of a kind.
func (h *Hook) kind(what string) bool {
	if len(h.What) == 0 {
		return what == "job" || what == "published"
	}
	return slices.Contains(h.What, what)
}

// concerns says whether an event is of the hook's target. job is nil if it
// concerns none.
func (h *Hook) concerns(e plague.Event, job *plague.Job) bool {
	switch {
	case h.Target == "":
		return true
	case job != nil:
		return job.Target == h.Target
	case e.What == "repo_script":
		return strings.HasPrefix(e.Text, h.Target+": ")
	}
	return e.What == "published" && e.Text == h.Target
}
