package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plague"
)

func (f *farm) token(name string) Token {
	f.t.Helper()
	t, err := f.build.Permit(name, "root", time.Now().Add(TokenLife))
	must(f.t, err)
	return t
}

func newRequest(t *testing.T, name string) (key, csr []byte) {
	t.Helper()
	key, err := NewKey()
	must(t, err)
	csr, err = NewCSR(key, name)
	must(t, err)
	return key, csr
}

// TestEnrol: a token is good for one key, as often as that asks, and for nobody else.
func TestEnrol(t *testing.T) {
	f := newFarm(t)
	token := f.token("builder7")
	key, csr := newRequest(t, "builder7")
	first, err := f.build.Enrol("builder7", token.Secret[:], csr, 0, time.Now())
	must(t, err)
	again, err := f.build.Enrol("builder7", token.Secret[:], csr, 0, time.Now())
	must(t, err)
	if string(first.Cert) != string(again.Cert) || first.By != "root" {
		t.Errorf("the same key got another certificate, or nobody allowed it: %q", first.By)
	}
	pair := f.parse(first.Cert, key)
	c := pair.Leaf
	if first.Role != RoleBuilder || first.Name != "builder7" || len(c.DNSNames) != 1 || len(c.IPAddresses) != 0 {
		t.Errorf("certificate for %s %s, hosts %v %v", first.Role, first.Name, c.DNSNames, c.IPAddresses)
	}
	s := shake(t, ServerConfig(*f.server(), f.buildPool, RoleBuilder), ClientConfig(pair, f.buildPool, Expect{Role: RoleServer}), "farm.example")
	if s.server != nil || s.client != nil || s.seen.Name != "builder7" {
		t.Errorf("at the builders' door: %+v", s)
	}
	_, other := newRequest(t, "builder7")
	refuses(t, "another key", plague.ErrDenied, enrol(f.build, "builder7", token.Secret[:], other))
	recorded, err := os.ReadFile(filepath.Join(f.dir, "ca", "index.txt"))
	must(t, err)
	if n := strings.Count(string(recorded), "CN=builder7"); n != 1 {
		t.Errorf("%d certificates of builder7 in index.txt", n)
	}
}

func enrol(ca *CA, name string, secret, csr []byte) error {
	_, err := ca.Enrol(name, secret, csr, 0, time.Now())
	return err
}

func refuses(t *testing.T, what string, kind, err error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// TestTokensEnd: by time, by a newer one, and for any other name or secret.
func TestTokensEnd(t *testing.T) {
	f := newFarm(t)
	old, token := f.token("builder7"), f.token("builder7")
	f.token("builder8")
	_, csr := newRequest(t, "builder7")
	refuses(t, "one that a newer replaced", plague.ErrDenied, enrol(f.build, "builder7", old.Secret[:], csr))
	refuses(t, "no secret", plague.ErrDenied, enrol(f.build, "builder7", nil, csr))
	refuses(t, "another builder's", plague.ErrDenied, enrol(f.build, "builder8", token.Secret[:], csr))
	refuses(t, "a name without a token", plague.ErrDenied, enrol(f.build, "builder9", token.Secret[:], csr))
	for _, name := range []string{"", "..", "../builder7", ".lock", "a/b", strings.Repeat("a", 65)} {
		refuses(t, "the name "+name, plague.ErrInvalid, enrol(f.build, name, token.Secret[:], csr))
	}
	_, err := f.build.Enrol("builder7", token.Secret[:], csr, 0, time.Now().Add(TokenLife+time.Second))
	refuses(t, "after its time", plague.ErrDenied, err)
	must(t, enrol(f.build, "builder7", token.Secret[:], csr))
	_, err = f.users.Permit("builder7", "root", time.Now())
	refuses(t, "of the packagers' CA", plague.ErrInvalid, err)
	for _, file := range []string{"", "builder7.json", ".lock"} {
		info, err := os.Stat(filepath.Join(f.dir, "ca", tokenFolder, file))
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q has the mode %v", file, info.Mode())
		}
		if data, err := os.ReadFile(filepath.Join(f.dir, "ca", tokenFolder, file)); err == nil && strings.Contains(string(data), strings.Split(token.Text(), ".")[1]) {
			t.Errorf("%q holds the secret", file)
		}
	}
}

// TestEnrolRace: of many keys that come at once with one token exactly one gets in, over
// two signers, too.
func TestEnrolRace(t *testing.T) {
	f := newFarm(t)
	second, err := LoadCA(filepath.Join(f.dir, "ca"), "buildsystem")
	must(t, err)
	for range 5 {
		token := f.token("builder7")
		var all sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			_, csr := newRequest(t, "builder7")
			ca := []*CA{f.build, second}[i%2]
			all.Go(func() { errs[i] = enrol(ca, "builder7", token.Secret[:], csr) })
		}
		all.Wait()
		in := 0
		for _, err := range errs {
			if err == nil {
				in++
			} else {
				refuses(t, "the loser", plague.ErrDenied, err)
			}
		}
		if in != 1 {
			t.Fatalf("%d keys got in with one token", in)
		}
	}
}

// TestHostileRequests: a request that asks for more than its name, or with a key that is
// not its own, gets nothing and does not use up the token.
func TestHostileRequests(t *testing.T) {
	f := newFarm(t)
	token := f.token("builder7")
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	name := pkix.Name{CommonName: "builder7"}
	make := func(key crypto.Signer, r x509.CertificateRequest) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &r, key)
		must(t, err)
		return encode("CERTIFICATE REQUEST", der)
	}
	role, err := url.Parse("plague:role:server")
	must(t, err)
	good := make(p256, x509.CertificateRequest{Subject: name})
	block, _ := pem.Decode(good)
	broken := append([]byte(nil), block.Bytes...)
	broken[len(broken)-1] ^= 1
	isCA := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}
	for what, csr := range map[string][]byte{
		"nothing":                nil,
		"rubbish":                []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
		"a certificate":          encode("CERTIFICATE", f.build.cert.Raw),
		"two requests":           append(append([]byte(nil), good...), good...),
		"a large one":            append(make(p256, x509.CertificateRequest{Subject: name}), strings.Repeat("\n", MaxCSR)...),
		"headers":                pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Headers: map[string]string{"a": "b"}, Bytes: block.Bytes}),
		"a broken signature":     encode("CERTIFICATE REQUEST", broken),
		"another curve":          make(p384, x509.CertificateRequest{Subject: name}),
		"Ed25519":                make(edwards, x509.CertificateRequest{Subject: name}),
		"RSA":                    make(weak, x509.CertificateRequest{Subject: name}),
		"another name":           make(p256, x509.CertificateRequest{Subject: pkix.Name{CommonName: "server"}}),
		"no name":                make(p256, x509.CertificateRequest{}),
		"a name and more":        make(p256, x509.CertificateRequest{Subject: pkix.Name{CommonName: "builder7", Organization: []string{"x"}}}),
		"two names":              make(p256, x509.CertificateRequest{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidCommonName(), Value: "builder7"}, {Type: oidCommonName(), Value: "server"}}}}),
		"the role of the server": make(p256, x509.CertificateRequest{Subject: name, URIs: []*url.URL{role}}),
		"an e-mail":              make(p256, x509.CertificateRequest{Subject: name, EmailAddresses: []string{"a@example.org"}}),
		"a host":                 make(p256, x509.CertificateRequest{Subject: name, DNSNames: []string{"farm.example"}}),
		"to be a CA":             make(p256, x509.CertificateRequest{Subject: name, ExtraExtensions: []pkix.Extension{isCA}}),
	} {
		refuses(t, what, plague.ErrInvalid, enrol(f.build, "builder7", token.Secret[:], csr))
	}
	must(t, enrol(f.build, "builder7", token.Secret[:], good))
}

// TestJoinerKnowsTheServer: the handshake of a joiner fails at everybody but a server of
// the token's farm, under a name that its certificate has.
func TestJoinerKnowsTheServer(t *testing.T) {
	f := newFarm(t)
	token := f.token("builder7")
	shown := func(ca *CA, pool *Pool, r Request) shaken {
		return shake(t, PublicConfig(WithCA(*f.pair(ca, r), pool)), token.Config("farm.example"), "farm.example")
	}
	server := Request{Role: RoleServer, Name: "server", Hosts: []string{"farm.example"}}
	if s := shown(f.build, f.buildPool, server); s.client != nil || s.server != nil {
		t.Fatalf("the farm's server: %+v", s)
	}
	otherCA, otherPool := f.authority("stranger", "buildsystem")
	refuses(t, "a server of another farm", ErrOtherCA, shown(otherCA, otherPool, server).client)
	both := &Pool{list: f.buildPool.list, set: f.buildPool.set}
	forged := WithCA(*f.pair(otherCA, server), otherPool)
	forged.Certificate = append(forged.Certificate, both.list[0].Raw) // it shows our CA, too
	refuses(t, "one that shows our CA", ErrOtherCA, shake(t, PublicConfig(forged), token.Config("farm.example"), "farm.example").client)
	refuses(t, "a builder of the farm", ErrWrongRole, shown(f.build, f.buildPool, Request{Role: RoleBuilder, Name: "builder1", Hosts: []string{"farm.example"}}).client)
	refuses(t, "under another name", ErrWrongName, shown(f.build, f.buildPool, Request{Role: RoleServer, Name: "server"}).client)
	refuses(t, "the CA itself", ErrWrongRole, shake(t, PublicConfig(*f.authorityItself(f.build)), token.Config("farm.example"), "farm.example").client)
	refuses(t, "without the CA", ErrOtherCA, shake(t, PublicConfig(*f.pair(f.build, server)), token.Config("farm.example"), "farm.example").client)
}

// FuzzParseToken: what is read as a token is what Text writes, and a refusal does not
// repeat it.
func FuzzParseToken(f *testing.F) {
	f.Add((&Token{Name: "builder7"}).Text())
	f.Add("plague1.a.b.c")
	f.Add("plague1." + strings.Repeat("a", 32) + "." + strings.Repeat("7", 52) + ".x")
	f.Add("plague1." + strings.Repeat("a", 32) + "." + strings.Repeat("a", 52) + ".../x")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err == nil && token.Text() != text {
			t.Errorf("%q was read as %q", text, token.Text())
		}
		if err != nil && len(text) > 20 && strings.Contains(err.Error(), text) {
			t.Errorf("%v", err)
		}
	})
}
