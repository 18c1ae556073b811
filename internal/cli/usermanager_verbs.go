package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/auth"
	"plague/internal/store"
	"plague/internal/wire"
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

// people are the users of a farm: its database, or the calls of its server.
type people interface {
	Users(ctx context.Context) ([]plague.User, error)
	ChangeUser(ctx context.Context, in wire.UserChange) (plague.User, error)
}

// database changes users without asking anybody: who may write there may do all.
type database struct{ *store.DB }

func (d database) ChangeUser(ctx context.Context, in wire.UserChange) (plague.User, error) {
	c := auth.Change(in)
	return d.DB.ChangeUser(ctx, time.Now(), changer(), c.Email, c.Verb != auth.DeleteUser, c.Apply)
}

func (u *userCommand) change(ctx context.Context, s Streams, p people) error {
	n, err := p.ChangeUser(ctx, wire.UserChange{Verb: u.verb, Email: u.args[0], Words: u.args[1:]})
	switch {
	case err != nil:
		return err
	case u.json:
		return printJSON(s.Out, n)
	case u.verb == auth.DeleteUser:
		_, err = fmt.Fprintf(s.Out, "User %s deleted.\n", oneLine(n.Email))
		return err
	}
	_, err = fmt.Fprintf(s.Out, "User %s %s: %s\n", oneLine(n.Email), map[string]string{auth.AddUser: "added", auth.ModifyUser: "modified"}[u.verb], privileges(n))
	return err
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

func (u *userCommand) find(ctx context.Context, s Streams, p people, match func(string) bool) error {
	all, err := p.Users(ctx)
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
