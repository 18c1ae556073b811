package auth

import (
	"fmt"
	"slices"
	"strings"

	"plague"
)

// Verbs of a Change: the commands of the user manager of 2005.
const (
	AddUser    = "add"
	ModifyUser = "modify"
	DeleteUser = "delete"
)

// A Change is what somebody wants of a user.
type Change struct {
	Verb  string
	Email string
	Words []string // add: capabilities; modify: +capability and -capability
}

// Apply gives the user as the change leaves him. u is how he is now; there says
// whether he is there at all. With DeleteUser he is to go. What may not be changed,
// such as the last administrator, is for others to say.
func (c Change) Apply(u plague.User, there bool) (plague.User, error) {
	switch {
	case c.Verb == AddUser && there:
		return u, plague.Refuse(plague.ErrConflict, fmt.Sprintf("User %s exists already.", c.Email), "modify changes what a user may do")
	case c.Verb != AddUser && !there:
		return u, plague.Refuse(plague.ErrNotFound, fmt.Sprintf("User %s doesn't exist.", c.Email), "list shows those who do")
	}
	switch c.Verb {
	case AddUser:
		return c.add()
	case ModifyUser:
		return c.modify(u)
	case DeleteUser:
		return u, nil
	}
	return u, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("unknown change %q", c.Verb), "add, modify and delete are known")
}

func (c Change) add() (plague.User, error) {
	u := plague.User{Email: c.Email}
	if err := validEmail(c.Email); err != nil {
		return u, err
	}
	for _, word := range c.Words {
		one, err := capability(word)
		if err != nil {
			return u, err
		}
		u.Capabilities = with(u.Capabilities, one)
	}
	return u, nil
}

func (c Change) modify(u plague.User) (plague.User, error) {
	for _, word := range c.Words {
		if !strings.HasPrefix(word, "+") && !strings.HasPrefix(word, "-") {
			return u, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("Invalid format '%s', privileges must begin with + or -.", word), "")
		}
		one, err := capability(word[1:])
		if err != nil {
			return u, err
		}
		if word[0] == '+' {
			u.Capabilities = with(u.Capabilities, one)
		} else {
			u.Capabilities = slices.DeleteFunc(slices.Clone(u.Capabilities), func(each plague.Capability) bool { return each == one })
		}
	}
	return u, nil
}

// validEmail refuses what cannot stand in a certificate as one e-mail address.
func validEmail(email string) error {
	name, host, found := strings.Cut(email, "@")
	strange := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(",;<>", r) }
	if !found || name == "" || host == "" || len(email) > 254 || strings.ContainsFunc(email, strange) || strings.Contains(host, "@") {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q is not an e-mail address", email), "a user is known by the e-mail in the certificate")
	}
	return nil
}

// capability reads a privilege, which is what 2005 calls a capability.
func capability(word string) (plague.Capability, error) {
	if c, ok := plague.ParseCapability(word); ok {
		return c, nil
	}
	var names []string
	for _, c := range plague.Capabilities() {
		names = append(names, string(c))
	}
	hint := "the privileges are " + strings.Join(names, ", ")
	if near := plague.Nearest(word, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("The privilege '%s' is unknown.", word), hint)
}

// with adds a capability; they keep the order of 2005.
func with(have []plague.Capability, c plague.Capability) []plague.Capability {
	return slices.DeleteFunc(plague.Capabilities(), func(each plague.Capability) bool { return each != c && !slices.Contains(have, each) })
}
