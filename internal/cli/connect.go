package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"plague"
	"plague/internal/pki"
	"plague/internal/wire"
	"plague/internal/xmlrpc"

	"github.com/spf13/cobra"
)

// exitInterrupted is what shells give for a program that SIGINT ended.
const exitInterrupted exitCode = 130

// callTimeout is the longest a call may take with its answer, the wait for
// events included. Uploads and logs take as long as they take.
const callTimeout = 2 * time.Minute

// client is a user's connection to the build server.
type client struct {
	*wire.User
	cfg  *clientConfig
	http *http.Client // for uploads and logs
}

// withClient makes the body of a command that speaks with the build server.
func withClient(f func(ctx context.Context, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := loadClientConfig()
		if err != nil {
			return err
		}
		c, err := cfg.connect()
		if err != nil {
			return err
		}
		return c.explain(cmd.Context(), f(cmd.Context(), c, args))
	}
}

// connectWith makes a client of one configuration file.
func connectWith(file string) (*client, error) {
	cfg, err := readClientConfig(file)
	if err != nil {
		return nil, err
	}
	return cfg.connect()
}

// connect checks the user's certificate and makes a client of it. Nothing is
// dialled yet.
func (cfg *clientConfig) connect() (*client, error) {
	if err := pki.CheckUser(cfg.userCert, cfg.userCACert, cfg.email, time.Now()); err != nil {
		return nil, err
	}
	cert, err := pki.LoadKeyPair(cfg.userKey, cfg.userCert)
	if err != nil {
		return nil, err
	}
	roots, err := pki.LoadPool(cfg.serverCACert)
	if err != nil {
		return nil, err
	}
	server := pki.Expect{Role: pki.RoleServer}
	if cfg.serverCert != "" {
		u, err := url.Parse(cfg.address)
		if err != nil {
			return nil, err
		}
		server.Host = u.Hostname()
		if server.Pinned, err = pki.LoadPinned(cfg.serverCert); err != nil {
			return nil, err
		}
	}
	hc := httpsClient(pki.ClientConfig(&cert, roots, server))
	calls := &http.Client{Transport: hc.Transport, Timeout: callTimeout}
	rpc := &xmlrpc.Client{URL: cfg.address + wire.RPCPath, HTTP: calls, UserAgent: "plague-client"}
	return &client{User: &wire.User{RPC: rpc}, cfg: cfg, http: hc}, nil
}

// explain turns what went wrong on the way to the server into a sentence for
// the user. What the server itself said stays as it is.
func (c *client) explain(ctx context.Context, err error) error {
	var answered *xmlrpc.HTTPError
	var broken *url.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &answered):
		return ofStatus(answered.Status, answered.Text)
	case errors.As(err, &broken):
		return c.unreachable(broken.Err)
	}
	return err
}

// unreachable is the error of a connection that could not be made or broke. A
// certificate that was refused is a denial: the same again fails again.
func (c *client) unreachable(err error) error {
	text := "Error connecting to build server: '%v'"
	if why := pki.Explain(err); errors.Is(why, plague.ErrDenied) {
		return plague.Refuse(plague.ErrDenied, fmt.Sprintf(text, why), "the certificates are named in "+c.cfg.file)
	}
	hint := fmt.Sprintf("the address %s is from %s", c.cfg.address, c.cfg.file)
	if errors.Is(err, syscall.ECONNREFUSED) {
		hint = "nothing listens at " + c.cfg.address + ": is plague-server running there? The address is from " + c.cfg.file
	}
	return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf(text, err), hint)
}

// ofStatus is the error of an HTTP answer that is no success.
func ofStatus(status int, text string) error {
	if text == "" {
		text = fmt.Sprintf("the build server answered %d %s", status, http.StatusText(status))
	}
	return wire.Kind(&xmlrpc.Fault{Code: status, Message: text})
}

// passing says whether an error may be gone at the next try: the connection
// broke, or the server is for the moment not able to answer.
func passing(err error) bool {
	var answered *xmlrpc.HTTPError
	var broken *url.Error
	switch {
	case errors.As(err, &answered):
		return answered.Status >= http.StatusInternalServerError
	case errors.As(err, &broken):
		return !errors.Is(pki.Explain(broken.Err), plague.ErrDenied)
	}
	return errors.Is(err, plague.ErrUnavailable) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
