package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/durable"
	"plague/internal/pki"
)

const certhelperUsage = `Usage:
  certhelper.py ca --outdir=<outdir> --name=<name>
  certhelper.py normal --outdir=<outdir> --name=<name> --cadir=<cadir> --caname=<ca-name>

'ca' makes a certificate authority in <outdir>; it never replaces one.
'normal' makes a key and its certificate, <outdir>/<name>_key_and_cert.pem (secret), and
<outdir>/<name>_cert.pem (the certificate alone, to copy around).

On a terminal both ask what the certificate shall say, unless one of these says it; a
standard input that is no terminal asks nothing.
  --country=XX --state= --locality= --organization= --unit=    default: the CA's own; none
  --common-name=   default: <name>
  --email=         a user's certificate must have it: the farm knows users by it
  --for=buildsystem|users    (ca) what it issues certificates for
  --role=server|builder|user (normal) what the certificate is good for
  --host=          (normal, repeatable) another name or address where it answers, besides
                   <name>, this machine's name and loopback
  --days=          (normal) how long it is valid; default 3650, never longer than the CA

Without --for, a CA named users is for users (packagers), one named buildsystem for server and
builders, and any other for anything. Without --role, the role is
  user      when the CA is for users;
  server    else, when <name> is server;
  user      else, when an e-mail is given and the CA is for anything;
  builder   else.

Exit status: 0 when it was made, 1 when not.
`

// certhelper makes CAs and certificates with the usage of 2005.
func certhelper(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	if slices.Contains(args, "--help") || len(args) > 0 && (args[0] == "-h" || args[0] == "help") {
		fmt.Fprint(out, certhelperUsage)
		return 0
	}
	h := certhelperRun{in: in, errw: errw}
	success, err := h.run(ctx, args)
	switch {
	case err == nil:
		fmt.Fprintln(out, success)
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(errw, "certhelper: %v\n\n%s", err, certhelperUsage)
	default:
		fmt.Fprintf(errw, "certhelper: %v\n", err)
	}
	return 1
}

var errUsage = errors.New("see the usage")

// certhelperRun is one call: what was given, and whom to ask for the rest.
type certhelperRun struct {
	in    io.Reader
	errw  io.Writer
	flags certhelperFlags
}

func (h *certhelperRun) run(ctx context.Context, args []string) (success string, err error) {
	if len(args) == 0 {
		return "", fmt.Errorf("say what to make, ca or normal: %w", errUsage)
	}
	work := h.normal
	needed, also := []string{"outdir", "name", "cadir", "caname"}, []string{"role", "host", "days"}
	switch args[0] {
	case "normal":
	case "ca":
		work, needed, also = h.ca, []string{"outdir", "name"}, []string{"for"}
	default:
		return "", fmt.Errorf("unknown type of certificate %q: %w", args[0], errUsage)
	}
	if h.flags, err = parseCerthelper(args[1:], needed, slices.Concat(also, subjectFlags())); err != nil {
		return "", err
	}
	return work(ctx)
}

func (h *certhelperRun) ca(ctx context.Context) (string, error) {
	name, dir := h.flags.one("name"), h.flags.one("outdir")
	if err := pki.ValidName(name); err != nil {
		return "", err
	}
	purpose := pki.PurposeNamed(name)
	if word, given := h.flags["for"]; given {
		var err error
		if purpose, err = pki.ParsePurpose(word[0]); err != nil {
			return "", err
		}
	}
	asked := pki.Subject{ // what the certhelper of 2005 offered
		Country: "US", State: "North Carolina", Locality: "Raleigh", Organization: "Fedora Project", Unit: "Fedora Builders",
	}
	a, err := h.answers(ctx, asked)
	if err != nil {
		return "", err
	}
	err = pki.CreateAuthority(dir, pki.Authority{Name: name, CommonName: a.commonName, Email: a.email, Subject: a.subject, Purpose: purpose})
	if err != nil {
		return "", err
	}
	return "Success.  Your Certificate Authority directory is: " + dir, nil
}

func (h *certhelperRun) normal(ctx context.Context) (string, error) {
	name := h.flags.one("name")
	if filepath.Base(name) != name || strings.HasPrefix(name, ".") {
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q cannot be part of a file name", name), "choose another --name")
	}
	life, err := h.flags.life()
	if err != nil {
		return "", err
	}
	ca, err := pki.LoadCA(h.flags.one("cadir"), h.flags.one("caname"))
	if err != nil {
		return "", err
	}
	a, err := h.answers(ctx, ca.Subject())
	if err != nil {
		return "", err
	}
	r := pki.Request{Name: a.commonName, Email: a.email, Hosts: h.flags["host"], Subject: a.subject, Life: life}
	if r.Role, err = h.role(ca.Purpose(), a.email); err != nil {
		return "", err
	}
	if r.Role != pki.RoleUser && r.Name != name {
		r.Hosts = append(r.Hosts, name)
	}
	certPEM, keyPEM, err := ca.Issue(r)
	if err != nil {
		return "", err
	}
	file, err := writeKeyAndCert(h.flags.one("outdir"), name, certPEM, keyPEM)
	if err != nil {
		return "", err
	}
	return "Success.  Your certificate and key file is: " + file, nil
}

// role is the rule that the usage states.
func (h *certhelperRun) role(purpose pki.Purpose, email string) (pki.Role, error) {
	if word, given := h.flags["role"]; given {
		return pki.ParseRole(word[0])
	}
	switch {
	case purpose == pki.ForUsers:
		return pki.RoleUser, nil
	case h.flags.one("name") == "server":
		return pki.RoleServer, nil
	case purpose == pki.ForAnything && email != "":
		return pki.RoleUser, nil
	}
	return pki.RoleBuilder, nil
}

// writeKeyAndCert replaces what an earlier call left there: a certificate is
// renewed by making it again.
func writeKeyAndCert(outdir, name string, certPEM, keyPEM []byte) (string, error) {
	d, err := durable.Open(outdir, 0o700)
	if err != nil {
		return "", err
	}
	defer d.Close()
	if err := d.WriteFile(name+"_cert.pem", certPEM, 0o644); err != nil {
		return "", fmt.Errorf("write the certificate: %w", err)
	}
	both := slices.Concat(keyPEM, certPEM)
	if err := d.WriteFile(name+"_key_and_cert.pem", both, 0o600); err != nil {
		return "", fmt.Errorf("write the key and the certificate: %w", err)
	}
	return filepath.Join(outdir, name+"_key_and_cert.pem"), nil
}

// certhelperFlags maps a flag to its values, in order.
type certhelperFlags map[string][]string

func (f certhelperFlags) one(name string) string { return strings.Join(f[name], "") }

func subjectFlags() []string {
	return []string{"country", "state", "locality", "organization", "unit", "common-name", "email"}
}

// parseCerthelper reads --flag=value and --flag value; only --host may come twice.
func parseCerthelper(args, needed, also []string) (certhelperFlags, error) {
	known := slices.Concat(needed, also)
	flags := certhelperFlags{}
	for len(args) > 0 {
		flag, ok := strings.CutPrefix(args[0], "--")
		name, value, inline := strings.Cut(flag, "=")
		args = args[1:]
		if !ok || !slices.Contains(known, name) {
			return nil, unknownFlag(name, known)
		}
		if !inline {
			if len(args) == 0 {
				return nil, fmt.Errorf("--%s has no value: %w", name, errUsage)
			}
			value, args = args[0], args[1:]
		}
		if len(flags[name]) > 0 && name != "host" {
			return nil, fmt.Errorf("--%s is given twice: %w", name, errUsage)
		}
		flags[name] = append(flags[name], value)
	}
	for _, name := range needed {
		if flags.one(name) == "" {
			return nil, fmt.Errorf("--%s is missing: %w", name, errUsage)
		}
	}
	return flags, nil
}

func unknownFlag(name string, known []string) error {
	if near := plague.Nearest(name, known); near != "" {
		return fmt.Errorf("unknown argument %q, perhaps --%s: %w", name, near, errUsage)
	}
	return fmt.Errorf("unknown argument %q: %w", name, errUsage)
}

// life reads --days; 0 leaves it to the CA.
func (f certhelperFlags) life() (time.Duration, error) {
	if _, given := f["days"]; !given {
		return 0, nil
	}
	const most = 36500
	days, err := strconv.Atoi(f.one("days"))
	if err != nil || days < 1 || days > most {
		return 0, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("--days=%s is not a number from 1 to %d", f.one("days"), most), "")
	}
	return time.Duration(days) * 24 * time.Hour, nil
}
