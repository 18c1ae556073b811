package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// farm is a build system's CA and a packagers' CA, with what they have issued.
type farm struct {
	t            *testing.T
	dir          string
	build, users *CA
	buildPool    *Pool
	usersPool    *Pool
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	f := &farm{t: t, dir: t.TempDir()}
	f.build, f.buildPool = f.authority("ca", "buildsystem")
	f.users, f.usersPool = f.authority("user_ca", "users")
	return f
}

func (f *farm) authority(folder, name string) (*CA, *Pool) {
	f.t.Helper()
	dir := filepath.Join(f.dir, folder)
	must(f.t, CreateCA(dir, name, Subject{Country: "DE", Organization: "Example"}))
	ca, err := LoadCA(dir, name)
	must(f.t, err)
	pool, err := LoadPool(filepath.Join(dir, name+"_ca_cert.pem"))
	must(f.t, err)
	return ca, pool
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair issues by the front door.
func (f *farm) pair(ca *CA, r Request) *tls.Certificate {
	f.t.Helper()
	certPEM, keyPEM, err := ca.Issue(r)
	must(f.t, err)
	return f.parse(certPEM, keyPEM)
}

func (f *farm) parse(certPEM, keyPEM []byte) *tls.Certificate {
	f.t.Helper()
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	must(f.t, err)
	return &pair
}

func (f *farm) server() *tls.Certificate {
	return f.pair(f.build, Request{Role: RoleServer, Name: "server", Hosts: []string{"farm.example"}})
}

func (f *farm) builder(name string) *tls.Certificate {
	return f.pair(f.build, Request{Role: RoleBuilder, Name: name, Hosts: []string{name + ".example"}})
}

func (f *farm) user() *tls.Certificate {
	return f.pair(f.users, Request{Role: RoleUser, Name: "Dan Williams", Email: "dcbw@example.org"})
}

// forge has a CA sign what Issue would not: change alters a good request's template.
func (f *farm) forge(ca *CA, r Request, change func(*x509.Certificate)) *tls.Certificate {
	f.t.Helper()
	t, err := ca.template(r, time.Now())
	must(f.t, err)
	change(t)
	certPEM, keyPEM, err := sign(t, ca)
	must(f.t, err)
	return f.parse(certPEM, keyPEM)
}

// selfSigned is a certificate that says all the right things of itself.
func (f *farm) selfSigned(r Request) *tls.Certificate {
	f.t.Helper()
	t, err := f.build.template(r, time.Now())
	must(f.t, err)
	certPEM, keyPEM, err := sign(t, nil)
	must(f.t, err)
	return f.parse(certPEM, keyPEM)
}

// stranger is a certificate of a CA with our CA's name and another key.
func (f *farm) stranger(name string, r Request) *tls.Certificate {
	f.t.Helper()
	ca, _ := f.authority("stranger-"+string(r.Role)+r.Name, name)
	return f.pair(ca, r)
}

// authorityItself is the CA's own certificate and key, as somebody who broke
// into the CA's machine has them.
func (f *farm) authorityItself(ca *CA) *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key, Leaf: ca.cert}
}

// shaken is what the two ends of one connection say about it.
type shaken struct {
	server, client error
	seen           Identity // whom the server saw; empty without a client certificate
}

// shake makes a real connection on loopback and sends two bytes over it.
func shake(t *testing.T, server, client *tls.Config, host string) shaken {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	done := make(chan shaken, 1)
	go func() {
		var s shaken
		conn, err := listener.Accept()
		if err != nil {
			s.server = err
			done <- s
			return
		}
		defer conn.Close()
		s.seen, s.server = answer(conn, server)
		done <- s
	}()
	clientErr := knock(listener.Addr().String(), client, host)
	s := <-done
	s.client = clientErr
	return s
}

func answer(conn net.Conn, cfg *tls.Config) (Identity, error) {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Server(conn, cfg)
	if err := c.Handshake(); err != nil {
		return Identity{}, err
	}
	if _, err := c.Write([]byte("ok")); err != nil {
		return Identity{}, err
	}
	state := c.ConnectionState()
	id, err := Peer(&state)
	if errors.Is(err, ErrNoCertificate) && cfg.ClientAuth == tls.NoClientCert {
		err = nil
	}
	return id, err
}

func knock(address string, cfg *tls.Config, host string) error {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	cfg = cfg.Clone()
	cfg.ServerName = host // as net/http does with the host of the URL
	c := tls.Client(conn, cfg)
	// In TLS 1.3 the client learns only here that the server did not want it.
	reply := make([]byte, 2)
	if _, err := io.ReadFull(c, reply); err != nil {
		return err
	}
	if !bytes.Equal(reply, []byte("ok")) {
		return errors.New("the bytes changed on the way")
	}
	return nil
}

func write(t *testing.T, name string, mode os.FileMode, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, bytes.Join(parts, nil), mode))
	must(t, os.Chmod(path, mode))
	return path
}
