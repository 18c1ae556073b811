package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"plague"
	"plague/internal/store"

	"github.com/spf13/cobra"
)

const defaultUserDB = "/etc/plague/server/userdb"

func userManagerCommand(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "user-manager [userdb] add|modify|delete|list|find [argument...]",
		Short: "say who may use the build system",
		Long: `Say who may use the build system, and what for. A user is known by the e-mail in
the certificate. The capabilities are

  own_jobs       build; kill one's own jobs
  kill_any_job   kill anybody's jobs
  modify_users   change users
  server_admin   pause the farm

userdb is the farm's database: a path, ` + defaultUserDB + ` unless named,
or a postgres:// address (the password belongs into PGPASSFILE, not there). It is
made if there is none; a users' file of 2005 is taken over once. A server that
runs sees a change at once.

  add email capability...           a new user
  modify email +capability -capability...
  delete email
  list                              all users
  find pattern                      users whose e-mail has it; * and ? stand for anything

All take --json.

` + exitCodes,
		Example: `  plague-user-manager add packager@example.com own_jobs
  plague-user-manager ` + defaultUserDB + ` modify packager@example.com +kill_any_job -own_jobs`,
		// -own_jobs is no flag.
		DisableFlagParsing: true,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
			return cmd.Help()
		}
		u, err := parseUserCommand(cmd, args)
		if err != nil {
			return err
		}
		return u.run(cmd.Context(), s)
	}
	return c
}

// userCommand is one command line of the user manager.
type userCommand struct {
	db   string
	verb string
	args []string
	json bool
}

// userVerbs are the commands with the least and the most arguments they take.
func userVerbs() map[string][2]int {
	const any = 1 << 10
	return map[string][2]int{"add": {2, any}, "modify": {2, any}, "delete": {1, 1}, "list": {0, 0}, "find": {1, 1}}
}

func parseUserCommand(cmd *cobra.Command, args []string) (*userCommand, error) {
	u := &userCommand{db: defaultUserDB}
	verbs := userVerbs()
	if len(args) > 0 {
		if _, known := verbs[args[0]]; !known {
			u.db, args = args[0], args[1:]
		}
	}
	return parseVerb(cmd, u, args)
}

// parseVerb reads a command and its arguments.
func parseVerb(cmd *cobra.Command, u *userCommand, args []string) (*userCommand, error) {
	verbs := userVerbs()
	if len(args) == 0 {
		return nil, misused(cmd, "Invalid number of arguments.")
	}
	u.verb, u.args = args[0], args[1:]
	takes, known := verbs[u.verb]
	if !known {
		return nil, u.unknownVerb()
	}
	all := len(u.args)
	u.args = slices.DeleteFunc(u.args, func(a string) bool { return a == "--json" })
	u.json = len(u.args) < all
	if len(u.args) < takes[0] || len(u.args) > takes[1] {
		return nil, misused(cmd, "Invalid number of arguments.")
	}
	return u, nil
}

// unknownVerb offers the nearest command. The first word may have been meant as
// one, and not as the name of a database.
func (u *userCommand) unknownVerb() error {
	names := []string{"add", "modify", "delete", "list", "find"}
	word := u.verb
	if plague.Nearest(word, names) == "" && plague.Nearest(u.db, names) != "" {
		word = u.db
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("unknown command %q", word), nearestHint(word, names, "the commands are "))
}

// userManagerPatience is how long a database that is busy is waited for.
const userManagerPatience = 30 * time.Second

func (u *userCommand) run(ctx context.Context, s Streams) error {
	ctx, cancel := context.WithTimeout(ctx, userManagerPatience)
	defer cancel()
	log := slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := openUserDB(ctx, u.db, store.Options{Log: log})
	if err != nil {
		return err
	}
	defer db.Close()
	return u.do(ctx, s, database{db})
}

// do is the command, in the database or through the server.
func (u *userCommand) do(ctx context.Context, s Streams, p people) error {
	switch u.verb {
	case "list":
		return u.find(ctx, s, p, func(string) bool { return true })
	case "find":
		return u.find(ctx, s, p, matches(u.args[0]))
	}
	return u.change(ctx, s, p)
}
