package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"plague"
)

// ServerConfig is a door: whoever knocks must show a certificate of a CA in
// clients, with one of the roles. Without a role nobody is let in.
func ServerConfig(cert tls.Certificate, clients *Pool, want ...Role) *tls.Config {
	expect := make([]Expect, len(want))
	for i, role := range want {
		expect[i].Role = role
	}
	return DoorConfig(cert, clients, expect...)
}

// DoorConfig is a door for whoever meets one of the expectations: a builder's,
// for instance, opens to the role server and to the pinned server_cert.pem.
func DoorConfig(cert tls.Certificate, clients *Pool, expect ...Expect) *tls.Config {
	cfg := PublicConfig(cert)
	// The verdict is ours, in VerifyConnection, which runs for every handshake:
	// the one of crypto/tls would not name the certificate.
	cfg.ClientAuth = tls.RequireAnyClientCert
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if err := clients.verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
			return err
		}
		return admitOne(expect, state.PeerCertificates[0])
	}
	cfg.ClientCAs = clients.hint()
	return cfg
}

// hint tells clients which of their certificates to show.
func (p *Pool) hint() *x509.CertPool {
	if p == nil {
		return x509.NewCertPool() // crypto/x509 takes nil for "all CAs of this machine"
	}
	return p.set
}

func admitOne(expect []Expect, c *x509.Certificate) error {
	err := plague.Refuse(ErrWrongRole, describe(c)+" is not wanted here: this door opens to nobody", "")
	for i, e := range expect {
		refused := e.admit(c)
		switch {
		case refused == nil:
			return nil
		case i == 0, !errors.Is(refused, ErrWrongName):
			err = refused
		}
	}
	if len(expect) > 1 && errors.Is(err, ErrWrongName) {
		return plague.Refuse(ErrWrongName, describe(c)+" is that of nobody who is expected here", "add its name to the configuration")
	}
	return err
}

// PublicConfig is a door for everybody, such as browsers and dnf.
func PublicConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		// Each connection proves itself anew, so that none outlives a certificate.
		SessionTicketsDisabled: true,
	}
}

// ClientConfig is how one knocks: with cert (nil: without any), at a server that
// has a certificate of a CA in roots and meets the expectation.
func ClientConfig(cert *tls.Certificate, roots *Pool, peer Expect) *tls.Config {
	// Chain, dates and host are checked by crypto/tls. Where a name or the very
	// certificate may stand for the host, it would refuse for the host alone:
	// there VerifyConnection, which checks the rest in any case, is the only judge.
	alone := peer.Name != "" || peer.vouches()
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots.hint(), InsecureSkipVerify: alone}
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if err := roots.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, time.Now()); err != nil {
			return err
		}
		leaf := state.PeerCertificates[0]
		if err := peer.admit(leaf); err != nil {
			return err
		}
		if alone {
			return peer.here(leaf, state.ServerName)
		}
		return nil
	}
	if cert != nil {
		// Shown whatever CAs the server asks for: its refusal then says which one
		// it wants, where crypto/tls would silently show nothing.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return cfg
}

// AllowTLS12 lets a door speak to old clients too, with forward secrecy and
// authenticated encryption only.
func AllowTLS12(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.MinVersion = tls.VersionTLS12
	cfg.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	return cfg
}
