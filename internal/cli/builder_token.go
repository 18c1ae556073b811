package cli

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"time"

	"plague/internal/pki"

	"github.com/spf13/cobra"
)

func tokenCommand(s Streams) *cobra.Command {
	var ca caFlags
	c := &cobra.Command{
		Use:   "token name",
		Short: "let one new machine join the farm as a builder",
		Long: `Print a token with which one machine can join the farm as the builder of that
name, once and within an hour: ` + "`plague join`" + ` there. An older token for the name
is worth nothing from then on, which is also how one is taken back.

It is a secret until it is used, and needs the CA's folder, so it is made as root
on the CA's machine. The certificate is signed by ` + "`plague signer`" + `, which has to run there.

` + exitCodes,
		Example: "  plague builder token builder7",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			authority, err := pki.LoadCA(ca.dir, ca.name)
			if err != nil {
				return err
			}
			until := time.Now().Add(pki.TokenLife)
			t, err := authority.Permit(args[0], operator(), until)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "On the new machine, before %s, with the name or address of the server:\n\n  plague join SERVER TOKEN\n\nThe token:\n", until.Local().Format("15:04 MST"))
			_, err = fmt.Fprintln(s.Out, t.Text())
			return err
		},
	}
	ca.add(c)
	return c
}

// operator is who sits at this machine, for the audit trail: root as a rule, who
// may have been somebody else before.
func operator() string {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return cmp.Or(os.Getenv("SUDO_USER"), name)
}
