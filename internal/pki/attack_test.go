package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"plague"
)

// knocks at a door: the server judges the client.
type knocks struct {
	name string
	door *tls.Config
	show *tls.Certificate
	want error  // nil: let in
	says string // in the server's error
}

func TestDoors(t *testing.T) {
	f := newFarm(t)
	server, builder1, builder2, user := f.server(), f.builder("builder1"), f.builder("builder2"), f.user()
	builders := ServerConfig(*server, f.buildPool, RoleBuilder)
	users := ServerConfig(*server, f.usersPool, RoleUser)
	onBuilder := ServerConfig(*builder1, f.buildPool, RoleServer)
	only1 := DoorConfig(*server, f.buildPool, Expect{Role: RoleBuilder, Name: "builder1"})
	only2or3 := DoorConfig(*server, f.buildPool, Expect{Role: RoleBuilder, Name: "builder2"}, Expect{Role: RoleBuilder, Name: "builder3"})

	asBuilder := Request{Role: RoleBuilder, Name: "builder1"}
	asUser := Request{Role: RoleUser, Name: "dcbw", Email: "dcbw@example.org"}
	asServer := Request{Role: RoleServer, Name: "server"}
	ended := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	future := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) }
	roleless := func(c *x509.Certificate) { c.URIs = nil }
	wizard := func(c *x509.Certificate) { c.URIs = []*url.URL{mark(rolePrefix, "wizard")} }
	both := func(c *x509.Certificate) { c.URIs = append(c.URIs, mark(rolePrefix, "server")) }
	nobody := func(c *x509.Certificate) { c.EmailAddresses, c.Subject.ExtraNames = nil, nil }
	twoMails := func(c *x509.Certificate) { c.EmailAddresses = []string{"root@example.org"} }
	twoNames := func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidCommonName(), Value: "builder1"}, {Type: oidCommonName(), Value: "builder2"}}
	}
	path := func(c *x509.Certificate) { c.Subject.CommonName = "../../etc" }
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

	for _, k := range []knocks{
		{"a builder at the builders' door", builders, builder1, nil, ""},
		{"a user at the users' door", users, user, nil, ""},
		{"the server at a builder's door", onBuilder, server, nil, ""},
		{"builder1 where only builder1 may", only1, builder1, nil, ""},
		{"a role-less user with an e-mail", users, f.forge(f.users, asUser, roleless), nil, ""},
		{"a role-less builder of the right name", only1, f.forge(f.build, asBuilder, roleless), nil, ""},

		{"builder2 where 2 and 3 may", only2or3, builder2, nil, ""},

		{"builder1 where 2 and 3 may", only2or3, builder1, ErrWrongName, "nobody who is expected here"},
		{"server where 2 and 3 may", only2or3, server, ErrWrongRole, "has the role server"},
		{"other CA, same name", builders, f.stranger("buildsystem", asBuilder), ErrOtherCA, `signed by "buildsystem", which is not a CA that is trusted here ("buildsystem"), though one of them has the same name`},
		{"other CA of users", users, f.stranger("users", asUser), ErrOtherCA, "same name"},
		{"self-signed builder", builders, f.selfSigned(asBuilder), ErrOtherCA, "signed by itself"},
		{"self-signed server at a builder's", onBuilder, f.selfSigned(asServer), ErrOtherCA, "signed by itself"},
		{"user at the builders' door", builders, user, ErrOtherCA, `signed by "users"`},
		{"builder at the users' door", users, builder1, ErrOtherCA, `signed by "buildsystem"`},
		{"server at the users' door", users, server, ErrOtherCA, `signed by "buildsystem"`},
		{"user at a builder's door", onBuilder, user, ErrOtherCA, `signed by "users"`},
		{"users' CA forging a builder", builders, f.forge(f.users, asUser, func(c *x509.Certificate) { c.URIs = []*url.URL{mark(rolePrefix, "builder")} }), ErrOtherCA, `signed by "users"`},
		{"builder posing as the server", onBuilder, builder2, ErrWrongRole, "has the role builder, and here only the role server will do"},
		{"builder2 posing as builder1", only1, builder2, ErrWrongName, `is not that of "builder1"`},
		{"server at the builders' door", builders, server, ErrWrongRole, "has the role server"},
		{"ended builder", builders, f.forge(f.build, asBuilder, ended), ErrExpired, "ended on 20"},
		{"ended user", users, f.forge(f.users, asUser, ended), ErrExpired, "ended on 20"},
		{"builder of tomorrow", builders, f.forge(f.build, asBuilder, future), ErrNotYetValid, "compare the clocks"},
		{"CA of the build system itself", builders, f.authorityItself(f.build), ErrWrongRole, "is a CA's"},
		{"CA of users itself", users, f.authorityItself(f.users), ErrWrongRole, "is a CA's"},
		{"CA at a builder's door", onBuilder, f.authorityItself(f.build), ErrWrongRole, "is a CA's"},
		{"role-less builder of any name", builders, f.forge(f.build, asBuilder, roleless), ErrUnknown, "does not say its role"},
		{"role-less server, not pinned", onBuilder, f.forge(f.build, asServer, roleless), ErrUnknown, "does not say its role"},
		{"unknown role", builders, f.forge(f.build, asBuilder, wizard), ErrMalformed, `unknown role "wizard"`},
		{"two roles", onBuilder, f.forge(f.build, asBuilder, both), ErrMalformed, "two roles"},
		{"two names", only1, f.forge(f.build, asBuilder, twoNames), ErrMalformed, "more than one common name"},
		{"a name that is a path", builders, f.forge(f.build, asBuilder, path), ErrMalformed, "cannot be a name"},
		{"user without e-mail", users, f.forge(f.users, asUser, nobody), ErrUnknown, "has no e-mail address"},
		{"user with two e-mails", users, f.forge(f.users, asUser, twoMails), ErrMalformed, "two different e-mail addresses"},
		{"made for servers only", builders, f.forge(f.build, asBuilder, serverOnly), ErrWrongRole, "not made for this use"},
		{"signed by a builder", onBuilder, f.signedBy(builder1, asServer), ErrOtherCA, `signed by "builder1"`},
		{"door without a CA", ServerConfig(*server, nil, RoleBuilder), builder1, ErrOtherCA, "no CA is configured"},
		{"door without a role", ServerConfig(*server, f.buildPool), builder1, ErrWrongRole, "opens to nobody"},
	} {
		t.Run(k.name, func(t *testing.T) {
			got := shake(t, k.door, ClientConfig(k.show, f.buildPool, anyPeer(k.door)), "localhost")
			if k.want == nil {
				if got.server != nil || got.client != nil {
					t.Fatalf("refused: server: %v, client: %v", got.server, got.client)
				}
				if want := k.show.Leaf.Subject.CommonName; got.seen.Name != want {
					t.Errorf("the server saw %q, want %q", got.seen.Name, want)
				}
				return
			}
			if !errors.Is(got.server, k.want) || !errors.Is(got.server, plague.ErrDenied) || !strings.Contains(got.server.Error(), k.says) {
				t.Errorf("server: %v\nwant %v with %q", got.server, k.want, k.says)
			}
			if err := Explain(got.client); err == nil || !errors.Is(err, plague.ErrDenied) {
				t.Errorf("the client was not told that it is refused: %v", got.client)
			}
		})
	}
}

// anyPeer expects whoever the door's own certificate says it is: these tests are
// about the other direction.
func anyPeer(door *tls.Config) Expect {
	id, _ := identify(door.Certificates[0].Leaf)
	return Expect{Role: id.Role}
}

// signedBy is a certificate that somebody signed who is no CA, with the chain.
func (f *farm) signedBy(who *tls.Certificate, r Request) *tls.Certificate {
	f.t.Helper()
	signer, ok := who.PrivateKey.(crypto.Signer)
	if !ok {
		f.t.Fatal("the key cannot sign")
	}
	template, err := f.build.template(r, time.Now())
	must(f.t, err)
	certPEM, keyPEM, err := sign(template, &CA{cert: who.Leaf, key: signer})
	must(f.t, err)
	pair := f.parse(certPEM, keyPEM)
	pair.Certificate = append(pair.Certificate, who.Certificate...)
	return pair
}

func TestNoCertificate(t *testing.T) {
	f := newFarm(t)
	server, builder := f.server(), f.builder("builder1")
	for name, door := range map[string]*tls.Config{
		"builders": ServerConfig(*server, f.buildPool, RoleBuilder),
		"users":    ServerConfig(*server, f.usersPool, RoleUser),
		"builder":  ServerConfig(*builder, f.buildPool, RoleServer),
	} {
		got := shake(t, door, ClientConfig(nil, f.buildPool, anyPeer(door)), "localhost")
		if got.server == nil || !errors.Is(Explain(got.client), ErrNoCertificate) {
			t.Errorf("%s: server: %v, client: %v", name, got.server, got.client)
		}
	}
	got := shake(t, PublicConfig(*server), ClientConfig(nil, f.buildPool, Expect{Role: RoleServer}), "localhost")
	if got.server != nil || got.client != nil {
		t.Errorf("the public door is shut: server: %v, client: %v", got.server, got.client)
	}
}

// TestStolenCertificate shows a certificate, which is no secret, without its key.
func TestStolenCertificate(t *testing.T) {
	f := newFarm(t)
	server, builder := f.server(), f.builder("builder1")
	stolen := &tls.Certificate{Certificate: server.Certificate, PrivateKey: builder.PrivateKey, Leaf: server.Leaf}
	got := shake(t, ServerConfig(*builder, f.buildPool, RoleServer), ClientConfig(stolen, f.buildPool, Expect{Role: RoleBuilder}), "localhost")
	if got.server == nil || got.client == nil {
		t.Errorf("server: %v, client: %v; want both refused", got.server, got.client)
	}
}

// dials a server: the client judges it.
type dials struct {
	name string
	show *tls.Certificate // by the server
	host string
	peer Expect
	want error
	says string
}

func TestClients(t *testing.T) {
	f := newFarm(t)
	server, builder1, builder2, user := f.server(), f.builder("builder1"), f.builder("builder2"), f.user()
	asServer := Request{Role: RoleServer, Name: "server", Hosts: []string{"farm.example"}}
	ended := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	foreign := func(c *x509.Certificate) {
		c.URIs, c.ExtKeyUsage, c.DNSNames, c.IPAddresses = nil, nil, nil, nil
	}
	old, other := f.forge(f.build, asServer, foreign), f.forge(f.build, asServer, foreign)
	toServer, toBuilder1 := Expect{Role: RoleServer}, Expect{Role: RoleBuilder, Name: "builder1"}
	byHeart, needless := Expect{Role: RoleServer, Pinned: old.Leaf.Raw}, Expect{Role: RoleServer, Pinned: server.Leaf.Raw}

	for _, d := range []dials{
		{"the server by name", server, "farm.example", toServer, nil, ""},
		{"the server by IPv4", server, "127.0.0.1", toServer, nil, ""},
		{"the server by IPv6", server, "::1", toServer, nil, ""},
		{"a builder by its name, wherever it is", builder1, "10.0.0.7", toBuilder1, nil, ""},
		{"a role-less server by heart", old, "anywhere.example", byHeart, nil, ""},
		{"a role-less server by name", old, "anywhere.example", Expect{Role: RoleServer, Name: "server"}, nil, ""},
		{"a server with a role where an old one is pinned", server, "farm.example", byHeart, nil, ""},
		{"the same by address", server, "127.0.0.1", Expect{Role: RoleServer, Pinned: old.Leaf.Raw, Host: "127.0.0.1"}, nil, ""},
		{"a server with a role, pinned all the same", server, "127.0.0.1", needless, nil, ""},

		{"wrong host where it is pinned all the same", server, "10.0.0.7", needless, ErrWrongName, "is for another host"},
		{"wrong host", server, "evil.example", toServer, ErrWrongName, "is for another host"},
		{"wrong address", server, "10.0.0.7", toServer, ErrWrongName, "is for another host"},
		{"wrong host beside a pin", server, "evil.example", byHeart, ErrWrongName, "is for another host"},
		{"wrong address beside a pin", server, "127.0.0.1", Expect{Role: RoleServer, Pinned: old.Leaf.Raw, Host: "10.0.0.7"}, ErrWrongName, "is for another host"},
		{"unknown address beside a pin", server, "127.0.0.1", byHeart, ErrWrongName, "an address that is not known"},
		{"ended", f.forge(f.build, asServer, ended), "farm.example", toServer, ErrExpired, "ended on 20"},
		{"ended, by name", f.forge(f.build, asServer, ended), "farm.example", Expect{Role: RoleServer, Name: "server"}, ErrExpired, "ended on 20"},
		{"self-signed", f.selfSigned(asServer), "farm.example", toServer, ErrOtherCA, "signed by itself"},
		{"self-signed, by name", f.selfSigned(asServer), "farm.example", Expect{Role: RoleServer, Name: "server"}, ErrOtherCA, "signed by itself"},
		{"other CA", f.stranger("buildsystem", asServer), "farm.example", toServer, ErrOtherCA, `signed by "buildsystem"`},
		{"builder posing as the server", builder1, "localhost", toServer, ErrWrongRole, "has the role builder"},
		{"builder posing beside a pin", builder1, "localhost", byHeart, ErrWrongRole, "has the role builder"},
		{"builder2 posing as builder1", builder2, "localhost", toBuilder1, ErrWrongName, `is not that of "builder1"`},
		{"server posing as builder1", server, "localhost", toBuilder1, ErrWrongRole, "has the role server"},
		{"user posing as the server", user, "localhost", Expect{Role: RoleServer, Name: "Dan Williams"}, ErrOtherCA, `signed by "users"`},
		{"the CA itself", f.authorityItself(f.build), "localhost", Expect{Role: RoleServer, Name: "buildsystem"}, ErrWrongRole, "is a CA's"},
		{"role-less, unknown", f.forge(f.build, asServer, func(c *x509.Certificate) { c.URIs = nil }), "farm.example", toServer, ErrUnknown, "does not say its role"},
		{"role-less, another than the pinned", other, "farm.example", byHeart, ErrUnknown, "does not say its role"},
		{"role-less of another name", old, "farm.example", Expect{Role: RoleServer, Name: "master"}, ErrWrongName, `is not that of "master"`},
		{"nothing expected", server, "farm.example", Expect{}, ErrWrongRole, "has the role server"},
	} {
		t.Run(d.name, func(t *testing.T) {
			got := shake(t, PublicConfig(*d.show), ClientConfig(nil, f.buildPool, d.peer), d.host)
			err := Explain(got.client)
			if d.want == nil {
				if got.client != nil {
					t.Fatalf("refused: %v", got.client)
				}
				return
			}
			if !errors.Is(err, d.want) || !strings.Contains(err.Error(), d.says) {
				t.Errorf("client: %v\nwant %v with %q", err, d.want, d.says)
			}
		})
	}
	t.Run("without a CA", func(t *testing.T) {
		nobody := ClientConfig(nil, nil, toServer)
		if got := shake(t, PublicConfig(*server), nobody, "farm.example"); got.client == nil {
			t.Error("a client without a CA trusted somebody")
		}
		if nobody.RootCAs == nil || ServerConfig(*server, nil).ClientCAs == nil {
			t.Error("without a CA, crypto/tls would take those of this machine")
		}
	})
}

func TestPinnedAtABuildersDoor(t *testing.T) {
	f := newFarm(t)
	foreign := func(c *x509.Certificate) { c.URIs, c.ExtKeyUsage = nil, nil }
	builder := f.builder("builder1")
	old := f.forge(f.build, Request{Role: RoleServer, Name: "server"}, foreign)
	twin := f.forge(f.build, Request{Role: RoleServer, Name: "server"}, foreign)
	door := DoorConfig(*builder, f.buildPool, Expect{Role: RoleServer, Pinned: old.Leaf.Raw})
	if got := shake(t, door, ClientConfig(old, f.buildPool, anyPeer(door)), "localhost"); got.server != nil {
		t.Errorf("the pinned server was refused: %v", got.server)
	}
	if got := shake(t, door, ClientConfig(twin, f.buildPool, anyPeer(door)), "localhost"); !errors.Is(got.server, ErrUnknown) {
		t.Errorf("its twin: %v, want %v", got.server, ErrUnknown)
	}
}

func TestVersions(t *testing.T) {
	f := newFarm(t)
	server, user := f.server(), f.user()
	door := ServerConfig(*server, f.usersPool, RoleUser)
	old := ClientConfig(user, f.buildPool, Expect{Role: RoleServer})
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if got := shake(t, door, old, "localhost"); got.server == nil || got.client == nil {
		t.Error("a door for TLS 1.3 spoke TLS 1.2")
	}
	if got := shake(t, AllowTLS12(door), old, "localhost"); got.server != nil || got.client != nil {
		t.Errorf("TLS 1.2 was allowed and refused: server: %v, client: %v", got.server, got.client)
	}
	stranger := ClientConfig(f.builder("builder1"), f.buildPool, Expect{Role: RoleServer})
	stranger.MinVersion, stranger.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if got := shake(t, AllowTLS12(door), stranger, "localhost"); !errors.Is(got.server, ErrOtherCA) {
		t.Errorf("a builder by TLS 1.2 at the users' door: %v", got.server)
	}
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	if got := shake(t, AllowTLS12(door), old, "localhost"); got.server == nil {
		t.Error("TLS 1.1 was spoken")
	}
}
