package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plague/internal/pki"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func certCommand(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "cert",
		Short: "list, revoke and renew certificates",
		Args:  knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return misused(cmd, "say what to do with certificates")
		},
	}
	add(c, "", []*cobra.Command{certListCommand(s), certRevokeCommand(s), certRenewCommand(s)})
	return c
}

func certListCommand(s Streams) *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "list the certificates that the farm has issued or seen",
		Long: `List the certificates that the farm has given to builders that joined, and all
others that were shown at its doors: whose they are, until when, and whether they
are good. It needs the capability server_admin.

` + exitCodes,
		Example: "  plague cert list",
		Args:    cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error {
			list, err := c.Certificates(ctx)
			if err != nil {
				return err
			}
			var shown []wire.CertificateRecord
			for _, r := range list {
				if all || r.State != "ended" {
					shown = append(shown, r)
				}
			}
			return showCertificates(s, shown, asJSON)
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "those that have ended, too")
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

func showCertificates(s Streams, list []wire.CertificateRecord, asJSON bool) error {
	if asJSON {
		return printJSON(s.Out, list)
	}
	screen := newScreen(s.Out)
	var rows [][]cell
	for _, r := range list {
		state := r.State
		if r.State == "revoked" {
			state = fmt.Sprintf("revoked by %s at %s", oneLine(r.RevokedBy), when(r.RevokedAt))
			if r.Why != "" {
				state += ": " + oneLine(r.Why)
			}
		}
		role := r.Role
		if role == "" {
			role = "-"
		}
		row := []cell{{text: role}, {text: oneLine(r.Name)}, {text: r.Serial}, {text: time.Unix(r.Until, 0).UTC().Format(time.DateOnly)}, {text: state, state: r.State}}
		rows = append(rows, row)
		if !screen.terminal() {
			fmt.Fprintf(s.Out, "%s %s, serial %s, until %s: %s\n", role, row[1].text, r.Serial, row[3].text, state)
		}
	}
	if screen.terminal() {
		screen.table([]string{"ROLE", "NAME", "SERIAL", "UNTIL", "STATE"}, rows)
	}
	return nil
}

func certRevokeCommand(s Streams) *cobra.Command {
	var why, file string
	c := &cobra.Command{
		Use:   "revoke name|serial|fingerprint",
		Short: "refuse certificates from now on, and close their connections",
		Long: `Have certificates refused at once, at every door of the farm, without a restart of
anything: all those of a builder's name or a user's e-mail, or the one of a serial.
Their open connections are closed within seconds. A builder that had joined with a
token leaves the farm; what it was building is built elsewhere. It can come back
with a new token.

A certificate that was never shown here is revoked by --file; the CA's folder
newcerts has a copy of each. It needs the capability server_admin.

` + exitCodes,
		Example: `  plague cert revoke builder7 --why "the disk was stolen"
  plague cert revoke 4A31F0…
  plague cert revoke --file builder9_cert.pem`,
		Args: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			in := wire.Revocation{Why: why, Which: strings.Join(args, "")}
			if file != "" {
				id, err := pki.Describe(file)
				if err != nil {
					return err
				}
				row := certificateRow(id, time.Now())
				in.Which = id.Fingerprint
				in.Certificate = &wire.CertificateRecord{Fingerprint: id.Fingerprint, Serial: row.Serial, Role: row.Role, Name: row.Name, Until: id.NotAfter.Unix()}
			}
			message, err := c.RevokeCertificate(ctx, in)
			if err == nil {
				fmt.Fprintln(s.Out, oneLine(message))
			}
			return err
		}),
	}
	c.Flags().StringVar(&why, "why", "", "reason, in one line, for the audit trail")
	c.Flags().StringVar(&file, "file", "", "the certificate (PEM)")
	return c
}
