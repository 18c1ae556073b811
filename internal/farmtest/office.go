package farmtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strings"
	"sync"

	"plague/internal/notify"
)

// office is the farm's mail server: RFC 5321 as far as a client that sends needs it.
// Until the faults are over it is away, busy, or takes a mail and hangs up before it
// can say so.
type office struct {
	w        *World
	sessions sync.WaitGroup

	mu  sync.Mutex // guards the field below
	got map[letter]int
}

// letter names a mail by what it is about and to whom.
type letter struct{ event, to string }

func newOffice(w *World) *office { return &office{w: w, got: map[letter]int{}} }

// email is a server's way to the office, as long as it has power.
func (o *office) email(power *Power) notify.Email {
	return notify.Email{From: "farm@farm", Admins: []string{"root@farm"}, Signers: []string{"sign@farm"}, Server: "mail.farm", Port: 25, TLS: "none",
		Dial: func(context.Context, string, string) (net.Conn, error) {
			if err := power.Use("mail"); err != nil {
				return nil, err
			}
			if o.trouble(4) {
				return nil, errors.New("mail.farm: connection refused")
			}
			mine, theirs := net.Pipe()
			o.sessions.Go(func() {
				defer theirs.Close()
				o.session(theirs)
			})
			return &powered{mine, power}, nil
		}}
}

// powered is a connection that needs power: what a dead process writes reaches nobody.
type powered struct {
	net.Conn
	power *Power
}

func (p *powered) Write(data []byte) (int, error) {
	if err := p.power.Use("mail"); err != nil {
		return 0, err
	}
	return p.Conn.Write(data)
}

// trouble is one time in n, until the faults are over.
func (o *office) trouble(n int) bool {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	return !o.w.settled() && o.w.roll("mail").IntN(n) == 0
}

func (o *office) session(conn net.Conn) {
	say := func(line string) { fmt.Fprint(conn, line+"\r\n") }
	say("220 mail.farm")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch verb, _, _ := strings.Cut(lines.Text(), " "); verb {
		case "RCPT":
			if o.trouble(8) {
				say("451 busy")
				continue
			}
		case "DATA":
			say("354 go on")
			if !o.take(lines) {
				return
			}
		case "QUIT":
			say("221 bye")
			return
		}
		say("250 yes")
	}
}

// take receives a mail; false: the connection is lost, before it was taken or after.
func (o *office) take(lines *bufio.Scanner) bool {
	var text strings.Builder
	for whole := false; !whole; {
		if !lines.Scan() {
			return false
		}
		if whole = lines.Text() == "."; !whole {
			text.WriteString(strings.TrimPrefix(lines.Text(), ".") + "\r\n")
		}
	}
	if o.trouble(8) {
		return false
	}
	m, err := mail.ReadMessage(strings.NewReader(text.String()))
	if err != nil {
		o.w.broken("6: a mail that is none: %v", err)
		return false
	}
	o.mu.Lock()
	o.got[letter{m.Header.Get("X-Plague-Event"), strings.Trim(m.Header.Get("To"), "<>")}]++
	o.mu.Unlock()
	return !o.trouble(8)
}

// received says how often a mail came.
func (o *office) received(l letter) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.got[l]
}

// letters are all mails that came.
func (o *office) letters() (all []letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for l := range o.got {
		all = append(all, l)
	}
	return all
}
