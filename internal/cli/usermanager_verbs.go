package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/store"
)

// changer is who changes users, in the farm's events.
func changer() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name + "@local"
	}
	me, err := user.Current()
	if err != nil || me.Username == "root" {
		return "root"
	}
	return me.Username + "@local"
}

func (u *userCommand) add(ctx context.Context, s Streams, db *store.DB) error {
	email := u.args[0]
	if err := validEmail(email); err != nil {
		return err
	}
	n := plague.User{Email: email}
	for _, word := range u.args[1:] {
		c, err := capability(word)
		if err != nil {
			return err
		}
		n.Capabilities = with(n.Capabilities, c)
	}
	switch _, err := db.User(ctx, email); {
	case err == nil:
		return plague.Refuse(plague.ErrConflict, fmt.Sprintf("User %s exists already.", email), "modify changes what a user may do")
	case !errors.Is(err, plague.ErrNotFound):
		return err
	}
	if err := db.PutUser(ctx, time.Now(), changer(), n); err != nil {
		return err
	}
	return showUser(s, "added", n)
}

// validEmail refuses what cannot stand in a certificate as one e-mail address.
func validEmail(email string) error {
	name, host, found := strings.Cut(email, "@")
	if !found || name == "" || host == "" || len(email) > 254 || oneLine(email) != email || strings.ContainsAny(email, " ,;<>") || strings.Contains(host, "@") {
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
	return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("The privilege '%s' is unknown.", word), nearestHint(word, names, "the privileges are "))
}

// with adds a capability; they keep the order of 2005.
func with(have []plague.Capability, c plague.Capability) []plague.Capability {
	return slices.DeleteFunc(plague.Capabilities(), func(each plague.Capability) bool { return each != c && !slices.Contains(have, each) })
}

func (u *userCommand) modify(ctx context.Context, s Streams, db *store.DB) error {
	for _, word := range u.args[1:] {
		if !strings.HasPrefix(word, "+") && !strings.HasPrefix(word, "-") {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("Invalid format '%s', privileges must begin with + or -.", word), "")
		}
		if _, err := capability(word[1:]); err != nil {
			return err
		}
	}
	n, err := existing(ctx, db, u.args[0])
	if err != nil {
		return err
	}
	for _, word := range u.args[1:] {
		c, err := capability(word[1:])
		if err != nil {
			return err
		}
		if word[0] == '+' {
			n.Capabilities = with(n.Capabilities, c)
		} else {
			n.Capabilities = slices.DeleteFunc(n.Capabilities, func(each plague.Capability) bool { return each == c })
		}
	}
	if err := db.PutUser(ctx, time.Now(), changer(), n); err != nil {
		return err
	}
	return showUser(s, "modified", n)
}

func (u *userCommand) remove(ctx context.Context, s Streams, db *store.DB) error {
	n, err := existing(ctx, db, u.args[0])
	if err != nil {
		return err
	}
	if err := db.DeleteUser(ctx, time.Now(), changer(), n.Email); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "User %s deleted.\n", n.Email)
	return err
}

func existing(ctx context.Context, db *store.DB, email string) (plague.User, error) {
	n, err := db.User(ctx, email)
	if errors.Is(err, plague.ErrNotFound) {
		return n, plague.Refuse(plague.ErrNotFound, fmt.Sprintf("User %s doesn't exist.", email), "list shows those who do")
	}
	return n, err
}

// matches makes the test of find.
func matches(pattern string) func(string) bool {
	pattern = strings.ToLower(pattern)
	if !strings.ContainsAny(pattern, "*?") {
		return func(email string) bool { return strings.Contains(strings.ToLower(email), pattern) }
	}
	return func(email string) bool {
		ok, err := path.Match(pattern, strings.ToLower(email))
		return err == nil && ok
	}
}

func (u *userCommand) find(ctx context.Context, s Streams, db *store.DB, match func(string) bool) error {
	all, err := db.Users(ctx)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(all, func(n plague.User) bool { return !match(n.Email) })
	if u.json {
		return printJSON(s.Out, found)
	}
	if len(found) == 0 {
		return plague.Refuse(plague.ErrNotFound, "No matching users found.", "")
	}
	for _, n := range found {
		if _, err := fmt.Fprintf(s.Out, "%s: %s\n", oneLine(n.Email), privileges(n)); err != nil {
			return err
		}
	}
	return nil
}

func showUser(s Streams, what string, n plague.User) error {
	_, err := fmt.Fprintf(s.Out, "User %s %s: %s\n", n.Email, what, privileges(n))
	return err
}

// privileges are a user's capabilities in a line.
func privileges(n plague.User) string {
	if len(n.Capabilities) == 0 {
		return "(no privileges)"
	}
	var names []string
	for _, c := range n.Capabilities {
		names = append(names, string(c))
	}
	return strings.Join(names, " ")
}
