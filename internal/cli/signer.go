package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"plague"
	"plague/internal/pki"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

const (
	defaultCADir  = "/etc/plague/ca_dir"
	defaultCAName = "buildsystem"
	defaultSocket = "/run/plague-signer/socket"
)

// builderLife is short, since builders renew their certificates themselves: what was
// forgotten somewhere ends soon.
const builderLife = 90 * 24 * time.Hour

// caFlags name a CA, as certhelper does.
type caFlags struct{ dir, name string }

func (f *caFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "cadir", defaultCADir, "`folder` of the CA")
	c.Flags().StringVar(&f.name, "caname", defaultCAName, "its `name`")
}

func signerCommand(s Streams) *cobra.Command {
	var ca caFlags
	var socket string
	var life time.Duration
	c := &cobra.Command{
		Use:   "signer",
		Short: "hold the CA's key, and sign for builders that have a token",
		Long: `Hold the key of the build system's CA, and sign what the server passes on: the
certificate of the one name that a token of ` + "`plague builder token`" + ` allows, and of a
builder that proves with its old key that it is one. Nothing else. The server itself,
which speaks with the network, can sign nothing.

It serves a Unix socket that the option signer of the server names. Whoever may
enter the socket's folder may ask.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSigner(cmd.Context(), ca, socket, life, slog.New(slog.NewTextHandler(s.Err, nil)))
		},
	}
	ca.add(c)
	c.Flags().DurationVar(&life, "life", builderLife, "how long a builder's certificate is valid; it renews itself at two thirds")
	c.Flags().StringVar(&socket, "socket", defaultSocket, "`path` of the socket; its folder is there already")
	return c
}

// runSigner serves the socket until ctx ends.
func runSigner(ctx context.Context, f caFlags, socket string, life time.Duration, log *slog.Logger) error {
	ca, err := pki.LoadCA(f.dir, f.name)
	if err != nil {
		return err
	}
	lock, err := exclusive(socket + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	l, err := listenUnix(socket)
	if err != nil {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("cannot listen at %s: %v", socket, err), "--socket names another place; its folder must be there")
	}
	mux := http.NewServeMux()
	mux.Handle("POST /enrol", signs(log, func(q enrolRequest) (pki.Issued, error) {
		return ca.Enrol(q.Name, q.Secret, []byte(q.CSR), life, time.Now())
	}))
	mux.Handle("POST /renew", signs(log, func(q signRenewal) (pki.Issued, error) {
		return ca.Renew(q.Old, q.Renewal, life, time.Now())
	}))
	srv := &http.Server{Handler: mux, ReadTimeout: signTime, WriteTimeout: signTime, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	log.Info("signer is up", "ca", f.name, "socket", socket)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err = srv.Shutdown(grace)
	<-done
	return err
}

// listenUnix takes the place of a socket that a dead signer left: the caller has
// the lock. The socket belongs to the folder's group.
func listenUnix(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	var folder, made syscall.Stat_t
	err = errors.Join(syscall.Stat(filepath.Dir(socket), &folder), syscall.Stat(socket, &made), os.Chmod(socket, 0o660))
	if err == nil && folder.Gid != made.Gid { // the unit has the group, and may not change any
		err = os.Lchown(socket, -1, int(folder.Gid))
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// signTime is how long anything may take at the signer, maxAsk how many bytes
// one may say to it, or to the server on the way to it.
const (
	signTime = 10 * time.Second
	maxAsk   = 16 << 10
)

// signs makes a handler of something that the signer signs.
func signs[Q any](log *slog.Logger, sign func(Q) (pki.Issued, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q Q
		err := readAsk(w, r, &q)
		var issued pki.Issued
		if err == nil {
			issued, err = sign(q)
		}
		if err != nil {
			log.Warn("refused to sign", "reason", err)
			status, text := wire.Status(log, err)
			http.Error(w, text, status)
			return
		}
		log.Info("certificate", "builder", issued.Name, "serial", issued.Serial, "until", issued.NotAfter, "allowed_by", issued.By)
		answerJSON(w, issued)
	})
}

// readAsk reads a small request in JSON.
func readAsk(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAsk))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return plague.Refuse(plague.ErrInvalid, "the request cannot be read", "client and server must not be more than one minor version apart")
	}
	return nil
}

func answerJSON(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // who has gone asks again
}

// signer is the server's way to it.
type signer struct{ http *http.Client }

func newSigner(socket string) *signer {
	var d net.Dialer
	return &signer{&http.Client{Timeout: signTime, Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
		DisableKeepAlives: true,
	}}}
}

// ask has something signed. Any trouble on the way is plague.ErrUnavailable.
func (s *signer) ask(ctx context.Context, what string, q any) (issued pki.Issued, err error) {
	err = askJSON(ctx, s.http, "http://signer/"+what, q, &issued)
	if err != nil && passing(err) {
		err = plague.Refuse(plague.ErrUnavailable, "the farm's signer cannot be asked", "on the server: systemctl status plague-signer; the option signer names its socket")
	}
	return issued, err
}

// askJSON posts a request and reads the answer; a refusal comes back with its kind.
func askJSON(ctx context.Context, c *http.Client, url string, q, into any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 2*maxAsk))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return ofStatus(resp.StatusCode, string(bytes.TrimSpace(data)))
	}
	return json.Unmarshal(data, into)
}
