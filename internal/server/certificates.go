package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
	"unicode"

	"plague"
	"plague/internal/auth"
	"plague/internal/store"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// certificates lists what the farm has issued or seen.
func (s *Server) certificates(ctx context.Context, _ []any) (any, error) {
	if _, err := s.may(ctx, auth.Revoke, ""); err != nil {
		return nil, err
	}
	all, err := s.DB.Certificates(ctx)
	if err != nil {
		return nil, err
	}
	records := make([]wire.CertificateRecord, 0, len(all))
	for _, c := range all {
		r := wire.CertificateRecord{Fingerprint: c.Fingerprint, Serial: c.Serial, Role: c.Role, Name: c.Name, Until: unix(c.EndsAt), State: "good",
			RevokedAt: unix(c.RevokedAt), RevokedBy: c.RevokedBy, Why: c.Why}
		switch {
		case !c.RevokedAt.IsZero():
			r.State = "revoked"
		case !time.Now().Before(c.EndsAt):
			r.State = "ended"
		}
		records = append(records, r)
	}
	return xmlrpc.Marshal(records)
}

// revoke has certificates refused from now on.
func (s *Server) revoke(ctx context.Context, in wire.Revocation) (string, error) {
	u, err := s.may(ctx, auth.Revoke, "")
	if err != nil {
		return "", err
	}
	if len(in.Why) > wire.MaxWhy || strings.ContainsFunc(in.Why, unicode.IsControl) || in.Which == "" || len(in.Which) > wire.MaxWhy {
		return "", plague.Refuse(plague.ErrInvalid, "a revocation names one certificate, and its reason is one line", fmt.Sprintf("at most %d bytes each", wire.MaxWhy))
	}
	if c := in.Certificate; c != nil {
		if len(c.Fingerprint) != 2*sha256.Size || in.Which != c.Fingerprint || len(c.Serial)+len(c.Role)+len(c.Name) > wire.MaxWhy {
			return "", plague.Refuse(plague.ErrInvalid, "the certificate has no fingerprint, or is not the one to revoke", "")
		}
		known := store.Certificate{Fingerprint: c.Fingerprint, Serial: c.Serial, Role: c.Role, Name: c.Name, SeenAt: time.Now(), EndsAt: time.Unix(c.Until, 0)}
		if err := s.DB.SeeCertificate(ctx, known); err != nil {
			return "", err
		}
	}
	revoked, err := s.DB.Revoke(ctx, time.Now(), u.Email, in.Which, in.Why)
	if err != nil {
		return "", err
	}
	var serials []string
	for _, c := range revoked {
		serials = append(serials, c.Serial)
	}
	s.Log.InfoContext(ctx, "certificates revoked", "role", revoked[0].Role, "of", revoked[0].Name, "serials", serials, "user", u.Email)
	return fmt.Sprintf("Revoked for %s %s: %s. Open connections are closed within seconds.", revoked[0].Role, revoked[0].Name, strings.Join(serials, " ")), nil
}
