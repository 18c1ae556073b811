package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
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
	role, name, serials := revoked[0].Role, revoked[0].Name, serialsOf(revoked)
	s.Log.InfoContext(ctx, "certificates revoked", "role", role, "of", name, "serials", serials, "user", u.Email)
	answer := fmt.Sprintf("Revoked for %s %s: %s. Open connections are closed within seconds.", role, name, strings.Join(serials, " "))
	all, err := s.DB.Certificates(ctx)
	if err != nil {
		return answer, nil // it is revoked
	}
	left := slices.DeleteFunc(all, func(c store.Certificate) bool {
		return c.Role != role || c.Name != name || !c.RevokedAt.IsZero() || !time.Now().Before(c.EndsAt)
	})
	if len(left) > 0 {
		answer += fmt.Sprintf(" Others of %s are good still: %s.", name, strings.Join(serialsOf(left), " "))
	}
	return answer, nil
}

func serialsOf(cs []store.Certificate) []string {
	var serials []string
	for _, c := range cs {
		serials = append(serials, c.Serial)
	}
	return serials
}
