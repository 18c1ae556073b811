package notify_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"

	"plague/internal/notify"
)

// letter is a mail that the server got.
type letter struct {
	from, to string
	raw      string
	*mail.Message
	body string
}

// mailServer is a small SMTP server (RFC 5321) that can be as bad as real ones.
type mailServer struct {
	t        *testing.T
	listener net.Listener
	conns    sync.WaitGroup
	tls      string // starttls, tls, or empty: none
	cert     tls.Certificate

	mu      sync.Mutex
	trouble func(n int, at string) string // asked at each step of the n-th connection: "" go on, "drop", "hang", or a reply
	letters []letter                      // accepted, or taken before the line dropped
	seen    []string                      // commands
	n       int
	open    map[net.Conn]bool
}

func newMailServer(t *testing.T) *mailServer { return newTLSMailServer(t, "", tls.Certificate{}) }

func newTLSMailServer(t *testing.T, mode string, cert tls.Certificate) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{t: t, listener: l, tls: mode, cert: cert, open: map[net.Conn]bool{}}
	s.conns.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

func (s *mailServer) email() notify.Email {
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		s.t.Fatal(err)
	}
	return notify.Email{From: "plague@example.com", Admins: []string{"root@example.com"}, Signers: []string{"signer@example.com"}, Server: "127.0.0.1", Port: n, TLS: "none"}
}

func (s *mailServer) close() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.conns.Wait()
}

func (s *mailServer) troubled(trouble func(n int, at string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = trouble
}

func (s *mailServer) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.n++
		n := s.n
		s.open[c] = true
		s.mu.Unlock()
		s.conns.Go(func() {
			if err := s.serve(c, n); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.t.Log("mail server:", err)
			}
			c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		})
	}
}

var errDropped = errors.New("dropped")

// at is one step: what the server says to it, unless it is in trouble there.
func (s *mailServer) at(c *textproto.Conn, n int, step, reply string) error {
	s.mu.Lock()
	trouble := s.trouble
	s.mu.Unlock()
	said := ""
	if trouble != nil {
		said = trouble(n, step)
	}
	switch said {
	case "drop":
		return errDropped
	case "hang":
		_, err := io.Copy(io.Discard, c.R) // until the client has had enough
		return err
	case "":
		if reply == "" {
			return nil
		}
		return c.PrintfLine("%s", reply)
	}
	if err := c.PrintfLine("%s", said); err != nil {
		return err
	}
	return errRefused
}

// errRefused says that a step was refused; the client may go on with another.
var errRefused = errors.New("refused")

func (s *mailServer) serve(conn net.Conn, n int) error {
	if s.tls == "tls" {
		conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}})
	}
	c := textproto.NewConn(conn)
	if err := s.at(c, n, "greeting", "220 mail.example.com ESMTP"); err != nil {
		return err
	}
	var l letter
	for {
		line, err := c.ReadLine()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.seen = append(s.seen, line)
		s.mu.Unlock()
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			_, secure := conn.(*tls.Conn)
			switch {
			case secure:
				err = s.at(c, n, "EHLO", "250-mail.example.com\r\n250 AUTH PLAIN")
			case s.tls == "starttls":
				err = s.at(c, n, "EHLO", "250-mail.example.com\r\n250-AUTH PLAIN\r\n250 STARTTLS")
			default:
				err = s.at(c, n, "EHLO", "250 mail.example.com")
			}
		case "STARTTLS":
			if err = s.at(c, n, "STARTTLS", "220 go on"); err == nil {
				conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}})
				c = textproto.NewConn(conn)
			}
		case "AUTH":
			if _, secure := conn.(*tls.Conn); !secure || rest != "PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00plague\x00secret-word")) {
				err = c.PrintfLine("535 who are you")
				break
			}
			err = s.at(c, n, "AUTH", "235 fine")
		case "MAIL":
			l = letter{from: rest}
			err = s.at(c, n, "MAIL", "250 fine")
		case "RCPT":
			l.to += rest
			err = s.at(c, n, "RCPT", "250 fine")
		case "DATA":
			err = s.data(c, n, l)
		case "QUIT":
			return s.at(c, n, "QUIT", "221 bye")
		default:
			err = s.at(c, n, verb, "250 fine")
		}
		if err != nil && !errors.Is(err, errRefused) {
			return err
		}
	}
}

func (s *mailServer) data(c *textproto.Conn, n int, l letter) error {
	if err := s.at(c, n, "DATA", "354 go on"); err != nil {
		return err
	}
	raw, err := c.ReadDotBytes()
	if err != nil {
		return err
	}
	l.raw = string(raw)
	if l.Message, err = mail.ReadMessage(strings.NewReader(l.raw)); err != nil {
		return err
	}
	if l.body, err = decoded(l.Message); err != nil {
		return err
	}
	err = s.at(c, n, "taken", "250 queued")
	if err == nil || errors.Is(err, errDropped) { // it has the mail, whether the client hears of it or not
		s.mu.Lock()
		s.letters = append(s.letters, l)
		s.mu.Unlock()
	}
	if err != nil {
		return err
	}
	return s.at(c, n, "said", "")
}

// decoded is the text of a mail.
func decoded(m *mail.Message) (string, error) {
	if m.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
		return "", errors.New("encoding " + m.Header.Get("Content-Transfer-Encoding"))
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	return strings.ReplaceAll(string(text), "\r\n", "\n"), err
}

// all are the mails that the server has accepted.
func (s *mailServer) all() []letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]letter(nil), s.letters...)
}

func (s *mailServer) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, "\n")
}
