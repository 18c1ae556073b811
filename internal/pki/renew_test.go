package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"testing"
	"time"

	"plague"
)

// TestRenew: whoever has a builder's key gets a certificate of the same name for a new
// key, and nobody else does.
func TestRenew(t *testing.T) {
	f := newFarm(t)
	old := f.builder("builder7")
	key, r, err := NewRenewal(old)
	must(t, err)
	late := old.Leaf.NotAfter.Add(-old.Leaf.NotAfter.Sub(old.Leaf.NotBefore) / 3)
	issued, err := f.build.Renew(old.Leaf.Raw, r, time.Hour, late)
	must(t, err)
	_, err = f.build.Renew(old.Leaf.Raw, r, time.Hour, time.Now())
	refuses(t, "long before it ends", plague.ErrConflict, err)
	pair := f.parse(issued.Cert, key)
	if issued.Role != RoleBuilder || issued.Name != "builder7" || !slices.Equal(pair.Leaf.DNSNames, old.Leaf.DNSNames) {
		t.Errorf("renewed: %+v, hosts %v", issued.Identity, pair.Leaf.DNSNames)
	}
	renew := func(c *tls.Certificate, r Renewal) error {
		_, err := f.build.Renew(c.Leaf.Raw, r, time.Hour, late)
		return err
	}
	_, others, err := NewRenewal(f.builder("builder8"))
	must(t, err)
	_, csr := newRequest(t, "builder7")
	refuses(t, "another's request", plague.ErrDenied, renew(old, others))
	refuses(t, "another request under the signature", plague.ErrDenied, renew(old, Renewal{CSR: csr, Signature: r.Signature}))
	refuses(t, "no signature", plague.ErrDenied, renew(old, Renewal{CSR: r.CSR}))
	for what, c := range map[string]*tls.Certificate{
		"a server": f.server(), "a user": f.user(),
		"of another CA":      f.stranger("buildsystem", Request{Role: RoleBuilder, Name: "builder7"}),
		"signed by itself":   f.selfSigned(Request{Role: RoleBuilder, Name: "builder7"}),
		"the CA":             f.authorityItself(f.build),
		"one that has ended": f.forge(f.build, Request{Role: RoleBuilder, Name: "builder7"}, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"one without a role": f.forge(f.build, Request{Role: RoleBuilder, Name: "builder7"}, func(c *x509.Certificate) { c.URIs = nil }),
	} {
		_, r, err := NewRenewal(c)
		must(t, err)
		refuses(t, what, plague.ErrDenied, renew(c, r))
	}
	refuses(t, "rubbish", plague.ErrInvalid, renew(&tls.Certificate{Leaf: &x509.Certificate{Raw: []byte("x")}}, r))
}

// TestReplacement: only a newer certificate of the same builder takes the place of one.
func TestReplacement(t *testing.T) {
	f := newFarm(t)
	issue := func(ca *CA, r Request) []byte {
		cert, key, err := ca.Issue(r)
		must(t, err)
		return append(key, cert...)
	}
	week := Request{Role: RoleBuilder, Name: "builder7", Life: 7 * 24 * time.Hour}
	day, server, other := week, week, week
	day.Life, server.Role, other.Name = 24*time.Hour, RoleServer, "builder8"
	path := write(t, "builder7.pem", 0o600, issue(f.build, day))
	stranger, _ := f.authority("stranger", "buildsystem")
	if _, err := Replacement(path, issue(f.build, week), f.buildPool, time.Now()); err != nil {
		t.Error(err)
	}
	for what, c := range map[string][]byte{
		"older": issue(f.build, Request{Role: RoleBuilder, Name: "builder7", Life: time.Hour}), "a server's": issue(f.build, server),
		"another's": issue(f.build, other), "of another CA": issue(stranger, week), "rubbish": []byte("x"),
	} {
		if _, err := Replacement(path, c, f.buildPool, time.Now()); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

// TestRenewAt: two thirds of the life that a certificate really had.
func TestRenewAt(t *testing.T) {
	f := newFarm(t)
	for _, life := range []time.Duration{30 * time.Second, 90 * 24 * time.Hour} {
		now := time.Now()
		c := f.pair(f.build, Request{Role: RoleBuilder, Name: "builder7", Life: life})
		if at := RenewAt(c).Sub(now); at < life*2/3-2*time.Second || at > life*2/3+2*time.Second {
			t.Errorf("of %s it renews after %s", life, at)
		}
	}
}

// TestHolder: a new connection shows the new certificate on either side.
func TestHolder(t *testing.T) {
	f := newFarm(t)
	first, second := f.builder("builder7"), f.builder("builder7")
	h := NewHolder(*first)
	server := ServerConfig(*f.server(), f.buildPool, RoleBuilder)
	door := h.Shown(DoorConfig(*first, f.buildPool, Expect{Role: RoleServer}))
	shown := func() (asClient, asDoor []byte) {
		s := shake(t, server, h.Shown(ClientConfig(first, f.buildPool, Expect{Role: RoleServer})), "farm.example")
		if s.client != nil || s.server != nil {
			t.Fatalf("%+v", s)
		}
		caller := ClientConfig(f.server(), f.buildPool, Expect{Role: RoleBuilder, Name: "builder7"})
		verify := caller.VerifyConnection
		caller.VerifyConnection = func(state tls.ConnectionState) error {
			asDoor = state.PeerCertificates[0].Raw
			return verify(state)
		}
		if s := shake(t, door, caller, "builder7.example"); s.client != nil {
			t.Fatalf("%+v", s)
		}
		return []byte(s.seen.Serial), asDoor
	}
	if serial, der := shown(); string(serial) != serialOf(first.Leaf) || !bytes.Equal(der, first.Leaf.Raw) {
		t.Error("it does not begin with the first")
	}
	h.Swap(*second)
	if serial, der := shown(); string(serial) != serialOf(second.Leaf) || !bytes.Equal(der, second.Leaf.Raw) {
		t.Error("it does not go on with the second")
	}
}

// TestReissue: what was said before is said again, of another key and CA.
func TestReissue(t *testing.T) {
	f := newFarm(t)
	cert, key, err := f.build.Issue(Request{Role: RoleServer, Name: "server", Hosts: []string{"farm.example", "192.0.2.7"}, Subject: Subject{Organization: "Lab"}})
	must(t, err)
	path := write(t, "server.pem", 0o600, key, cert)
	ca, _ := f.authority("next", "buildsystem")
	cert2, key2, err := ca.Reissue(path, 0)
	must(t, err)
	old, is := f.parse(cert, key).Leaf, f.parse(cert2, key2).Leaf
	if is.Subject.String() != old.Subject.String() || !slices.Equal(is.DNSNames, old.DNSNames) || len(is.IPAddresses) != len(old.IPAddresses) || is.CheckSignatureFrom(ca.cert) != nil || bytes.Equal(key, key2) {
		t.Errorf("%v %v %v, was %v %v %v", is.Subject, is.DNSNames, is.IPAddresses, old.Subject, old.DNSNames, old.IPAddresses)
	}
	_, _, err = f.users.Reissue(path, 0)
	refuses(t, "by the packagers' CA", plague.ErrInvalid, err)
	_, _, err = ca.Reissue(path+".not", 0)
	refuses(t, "what is not there", os.ErrNotExist, err)
}
