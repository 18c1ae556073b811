package notify

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"plague/internal/buildlog"
	"plague/internal/store"

	"github.com/wneessen/go-mail"
)

// errCompose is a mail that no server would take as it is: its recipient is no
// address.
var errCompose = errors.New("the mail cannot be written")

// compose writes a mail. The same message gives the same bytes: date and
// Message-ID are the event's, so that whoever gets it twice can tell.
func compose(m *store.Message, e Email, farm string) (*mail.Msg, error) {
	out := mail.NewMsg(mail.WithEncoding(mail.EncodingQP), mail.WithNoDefaultUserAgent())
	if err := out.From(e.From); err != nil {
		return nil, fmt.Errorf("%w: %w", errCompose, err)
	}
	if err := out.To(m.To); err != nil {
		return nil, fmt.Errorf("%w: %w", errCompose, err)
	}
	out.Subject(buildlog.OneLine(m.Subject))
	out.SetDateWithValue(m.At)
	out.SetMessageIDWithValue(messageID(m, e.From, farm))
	out.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday notice answers
	out.SetGenHeader("X-Plague-Event", fmt.Sprint(m.Event))
	out.SetBodyString(mail.TypeTextPlain, m.Body)
	return out, nil
}

// messageID names a mail by what it is about, not by the try.
func messageID(m *store.Message, from, farm string) string {
	domain := from[strings.LastIndex(from, "@")+1:]
	to := sha256.Sum256([]byte(m.To))
	return fmt.Sprintf("%d.%x.%s@%s", m.Event, to[:8], strings.ToLower(farm), domain)
}

// send hands a mail to the mail server. nil: it has accepted it, whatever
// came after. reached says whether it listened at all.
func (e Email) send(ctx context.Context, timeout time.Duration, out *mail.Msg) (reached bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*timeout)
	defer cancel()
	var conn net.Conn
	dial := func(ctx context.Context, network, address string) (c net.Conn, err error) {
		d := net.Dialer{Timeout: timeout}
		switch {
		case e.Dial != nil:
			c, err = e.Dial(ctx, network, address)
		case e.TLS == "tls":
			c, err = (&tls.Dialer{NetDialer: &d}).DialContext(ctx, network, address)
		default:
			c, err = d.DialContext(ctx, network, address)
		}
		if err == nil {
			conn = c
		}
		return c, err
	}
	client, err := mail.NewClient(e.Server, e.options(timeout, dial)...)
	if err != nil {
		return false, err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if conn != nil {
		defer conn.Close() // the library leaves it open when the greeting fails
		defer context.AfterFunc(ctx, func() { conn.Close() })()
	}
	if err != nil {
		return false, fmt.Errorf("mail server %s:%d: %w", e.Server, e.Port, err)
	}
	err = client.SendWithSMTPClient(session, out)
	if out.IsDelivered() {
		err = nil // it said yes; what came after changes nothing
	}
	if client.CloseWithSMTPClient(session) != nil {
		conn.Close() // a server that does not wait for our goodbye has lost nothing
	}
	return true, err
}

func (e Email) options(timeout time.Duration, dial mail.DialContextFunc) []mail.Option {
	policy := mail.TLSMandatory
	switch e.TLS {
	case "none":
		policy = mail.NoTLS
	case "tls": // the dialler's connection is protected already, and the library looks whether it is
		policy = mail.TLSOpportunistic
	}
	options := []mail.Option{
		mail.WithPort(e.Port), mail.WithTimeout(timeout), mail.WithTLSPolicy(policy), mail.WithDialContextFunc(dial),
		mail.WithoutNoop(), mail.WithoutRset(),
	}
	if e.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(e.User), mail.WithPassword(e.Password))
	}
	return options
}

// refusedForGood says whether the mail server will never take this mail: not
// that it is busy, and not that it does not know us.
func refusedForGood(err error) bool {
	var e *mail.SendError
	if !errors.As(err, &e) || e.IsTemp() || e.ErrorCode()/100 != 5 {
		return false
	}
	switch e.Reason {
	case mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose:
		return true
	}
	return false
}
