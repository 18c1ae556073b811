package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"plague"
	"plague/internal/pki"
	"plague/internal/store"
	"plague/internal/wire"
)

// enrolPath is where machines join, on the door that asks for no certificate.
const enrolPath = "/enrol"

// enrolRequest is what the server passes on to the signer.
type enrolRequest struct {
	Name   string `json:"name"`
	Secret []byte `json:"secret"` // of the token
	CSR    string `json:"csr"`    // PEM
}

// joinRequest is what a machine that joins says.
type joinRequest struct {
	enrolRequest
	URL    string `json:"url"`              // where the server reaches it; empty: the address it comes from,
	Port   int    `json:"port"`             // and this port
	Active bool   `json:"active,omitempty"` // the server does not: it dials in. Servers that do not know this refuse it
}

// joinAnswer is what it gets.
type joinAnswer struct {
	Certificate string `json:"certificate"` // PEM
	URL         string `json:"url"`         // where the server will call it, or active://name
	FilesPort   int    `json:"files_port"`  // the builders' door of the server
}

// enrolment is where machines join and builders renew their certificates. It hears few
// at a time, not often, and not for long.
type enrolment struct {
	db        *store.DB
	signer    *signer // nil: this farm has none
	filesPort int
	joins     *turnstile // everybody can knock there
	renewals  *turnstile // of builders; who knocks at the other does not keep them out
	log       *slog.Logger
}

func newEnrolment(c *serverConfig, db *store.DB, log *slog.Logger) *enrolment {
	e := &enrolment{db: db, filesPort: c.filesPort, joins: newTurnstile(), renewals: newTurnstile(), log: log}
	if c.signer != "" {
		e.signer = newSigner(c.signer)
	}
	return e
}

func (e *enrolment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := e.join(w, r)
	if err != nil {
		status, text := wire.Status(e.log, err)
		http.Error(w, text, status)
		return
	}
	answerJSON(w, a)
}

func (e *enrolment) join(w http.ResponseWriter, r *http.Request) (joinAnswer, error) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(signTime)); err != nil {
		return joinAnswer{}, err
	}
	var q joinRequest
	if err := readAsk(w, r, &q); err != nil {
		return joinAnswer{}, err
	}
	url, err := q.address(r.RemoteAddr)
	if err != nil {
		return joinAnswer{}, err
	}
	if e.signer == nil {
		return joinAnswer{}, plague.Refuse(plague.ErrConflict, "this farm lets nobody join by a token: the option signer is empty", "make its certificate with plague-certhelper, and name it in the option builders")
	}
	leave, err := e.joins.enter(asker(r.RemoteAddr), time.Now())
	if err != nil {
		return joinAnswer{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), 2*signTime)
	defer cancel()
	issued, err := e.signer.ask(ctx, "enrol", q.enrolRequest)
	if err != nil {
		e.log.WarnContext(ctx, "machine not let in", "builder", fmt.Sprintf("%.64q", q.Name), "from", r.RemoteAddr, "reason", err)
		return joinAnswer{}, err
	}
	now := time.Now()
	if err := e.db.Enrol(ctx, store.Enrolled{Name: issued.Name, URL: url, At: now, Who: issued.By}, certificateRow(issued.Identity, now)); err != nil {
		return joinAnswer{}, err
	}
	e.log.InfoContext(ctx, "builder joined", "builder", issued.Name, "url", url, "serial", issued.Serial, "user", issued.By)
	return joinAnswer{Certificate: string(issued.Cert), URL: url, FilesPort: e.filesPort}, nil
}

func certificateRow(id pki.Identity, now time.Time) store.Certificate {
	name := id.Name
	if id.Role == pki.RoleUser || name == "" {
		name = id.Email
	}
	return store.Certificate{Fingerprint: id.Fingerprint, Serial: id.Serial, Role: string(id.Role), Name: name, SeenAt: now, EndsAt: id.NotAfter}
}

// address is where the server will call the builder.
func (q *joinRequest) address(remote string) (string, error) {
	given := q.URL
	switch {
	case q.Active && q.URL == "" && pki.ValidName(q.Name) == nil:
		return activeScheme + q.Name, nil
	case q.Active:
		return "", plague.Refuse(plague.ErrInvalid, "a builder that dials in has a name and no address", "")
	case given == "":
		from, err := netip.ParseAddrPort(remote)
		if err != nil || q.Port < 1 || q.Port > 65535 {
			return "", plague.Refuse(plague.ErrInvalid, "the machine does not say where it can be called", "give --url https://host:port")
		}
		given = "https://" + netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), uint16(q.Port)).String()
	}
	const longest = 300
	b, err := parseBuilder(given)
	if err != nil || b.active() || len(given) > longest {
		return "", plague.Refuse(plague.ErrInvalid, "the address of the builder is not https://host:port", "give --url https://"+q.Name+".example.com:"+strconv.Itoa(defaultBuilderPort))
	}
	return b.url, nil
}
