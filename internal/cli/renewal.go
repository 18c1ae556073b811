package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"plague"
	"plague/internal/builder"
	"plague/internal/durable"
	"plague/internal/pki"
	"plague/internal/wire"
)

// renewPath is where builders ask for their next certificate, at the builders' door.
const renewPath = "/renew"

// signRenewal is what the server passes on to the signer.
type signRenewal struct {
	pki.Renewal
	Old []byte // DER: the certificate that the connection was made with
}

// serveRenewal answers a builder. The signer believes the builder's old key, not the server.
func (e *enrolment) serveRenewal(w http.ResponseWriter, r *http.Request) {
	a, err := e.renew(w, r)
	if err != nil {
		status, text := wire.Status(e.log, err)
		http.Error(w, text, status)
		return
	}
	answerJSON(w, a)
}

func (e *enrolment) renew(w http.ResponseWriter, r *http.Request) (joinAnswer, error) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(signTime)); err != nil {
		return joinAnswer{}, err
	}
	was, err := pki.Peer(r.TLS)
	if err != nil {
		return joinAnswer{}, err
	}
	q := signRenewal{Old: r.TLS.PeerCertificates[0].Raw}
	if err := readAsk(w, r, &q.Renewal); err != nil {
		return joinAnswer{}, err
	}
	if e.signer == nil {
		return joinAnswer{}, plague.Refuse(plague.ErrConflict, "this farm renews no certificates: the option signer is empty", "make a new one with plague-certhelper")
	}
	leave, err := e.renewals.enter(was.Name, time.Now())
	if err != nil {
		return joinAnswer{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), 2*signTime)
	defer cancel()
	issued, err := e.signer.ask(ctx, "renew", q)
	if err != nil {
		return joinAnswer{}, err
	}
	if err := e.db.Renewed(ctx, was.Fingerprint, certificateRow(issued.Identity, time.Now())); err != nil {
		return joinAnswer{}, err
	}
	e.log.InfoContext(ctx, "certificate renewed", "builder", issued.Name, "serial", issued.Serial, "until", issued.NotAfter)
	return joinAnswer{Certificate: string(issued.Cert)}, nil
}

// renewer has a builder's certificate renewed when a third of its life is left.
type renewer struct {
	holder  *pki.Holder
	tls     *tls.Config  // shows what the holder has
	client  *http.Client // of everything else: its idle connections are the old certificate's
	servers []string     // https://host:port of the builders' doors
	keep    func(keyAndCert []byte) error
	renewed func() // called when another certificate is shown
	log     *slog.Logger
}

// A try that failed is made again after a tenth of what is left, within these bounds;
// when nothing is left only the clock can have been wrong.
const (
	soonestRenewal = time.Second
	latestRenewal  = 24 * time.Hour
	hopelessly     = time.Hour
)

// retryIn leaves some of it to chance: builders of one day shall not ask in one second.
func retryIn(left time.Duration) time.Duration {
	wait := min(max(left/10, soonestRenewal), latestRenewal)
	if left <= 0 {
		wait = hopelessly
	}
	return wait/2 + rand.N(wait)
}

// Run renews until ctx ends.
func (r *renewer) Run(ctx context.Context) error {
	at := pki.RenewAt(r.holder.Now())
	for {
		t := time.NewTimer(time.Until(at))
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		now := time.Now()
		ends := r.holder.Now().Leaf.NotAfter
		if err := r.renew(ctx); err != nil {
			if ctx.Err() == nil {
				r.log.WarnContext(ctx, "certificate not renewed, will try again", "until", ends, "error", pki.Explain(err))
			}
			at = now.Add(retryIn(ends.Sub(now)))
			continue
		}
		ends = r.holder.Now().Leaf.NotAfter
		r.log.InfoContext(ctx, "certificate renewed", "until", ends)
		at = pki.RenewAt(r.holder.Now())
	}
}

func (r *renewer) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	key, q, err := pki.NewRenewal(r.holder.Now())
	if err != nil {
		return err
	}
	var a joinAnswer
	own := httpsClient(r.tls) // the server renews the certificate that the connection was made with
	defer own.CloseIdleConnections()
	for i, server := range r.servers {
		if err = askJSON(ctx, own, server+renewPath, q, &a); err == nil || i+1 == len(r.servers) || ctx.Err() != nil {
			break
		}
		r.log.WarnContext(ctx, "certificate not renewed by this server, asking the next", "server", server, "error", pki.Explain(err))
	}
	if err != nil {
		return err
	}
	both := slices.Concat(key, []byte(a.Certificate))
	next, err := tls.X509KeyPair(both, both)
	if err != nil {
		return errors.New("the server's answer is no certificate of the key")
	}
	if err := r.keep(both); err != nil { // first on the disk: what was shown once must be there after a restart
		return err
	}
	r.holder.Swap(next)
	r.client.CloseIdleConnections()
	r.renewed()
	return nil
}

// keeper is what the warden does with a renewed certificate: the daemon, which is not
// root, is believed only as far as the certificate proves itself.
func (c *builderConfig) keeper() builder.Keep {
	return func(keyAndCert []byte) error {
		roots, err := pki.LoadPool(c.caCert)
		if err != nil {
			return err
		}
		if _, err := pki.Replacement(c.keyAndCert, keyAndCert, roots, time.Now()); err != nil {
			return err
		}
		d, err := durable.Open(filepath.Dir(c.keyAndCert), 0o700)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.WriteFile(filepath.Base(c.keyAndCert), keyAndCert, 0o600)
	}
}
