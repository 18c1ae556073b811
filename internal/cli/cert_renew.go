package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"plague"
	"plague/internal/durable"
	"plague/internal/pki"

	"github.com/spf13/cobra"
)

func certRenewCommand(s Streams) *cobra.Command {
	var ca caFlags
	c := &cobra.Command{
		Use:   "renew file...",
		Short: "make new keys and certificates in the place of those in files",
		Long: `Make a new key, and a certificate that says what the one in the file says: of a
server, of a packager, of a builder whose certificate was made by hand. Owner and
mode of the file stay. Whoever uses it has to be restarted. It needs the CA's folder,
so it is called as root on the CA's machine; the CA need not be the one that made the
old certificate. Builders that joined with a token do this themselves, when a third
of the certificate's life is left.

` + exitCodes,
		Example: "  plague cert renew /etc/plague/server/certs/server_key_and_cert.pem",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			authority, err := pki.LoadCA(ca.dir, ca.name)
			if err != nil {
				return err
			}
			var failed []error
			for _, file := range files {
				if err := renewFile(authority, file); err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", file, err))
					continue
				}
				fmt.Fprintln(s.Out, file+" is renewed")
			}
			return errors.Join(failed...)
		},
	}
	ca.add(c)
	return c
}

func renewFile(ca *pki.CA, file string) error {
	if _, err := pki.LoadKeyAndCert(file); err != nil {
		return err
	}
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return plague.Refuse(plague.ErrInvalid, "it is not a file", "name what the link leads to")
	}
	cert, key, err := ca.Reissue(file, 0)
	if err != nil {
		return err
	}
	d, err := durable.Open(filepath.Dir(file), 0o700)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.WriteFile(filepath.Base(file), slices.Concat(key, cert), info.Mode().Perm()); err != nil {
		return err
	}
	return os.Lchown(file, int(owner.Uid), int(owner.Gid))
}
