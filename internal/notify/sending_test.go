package notify_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plague"
	"plague/internal/notify"
	"plague/internal/pki"
)

// tell makes one mail to the administrator.
func (f *farm) tell() {
	f.t.Helper()
	f.must(f.AddEvent(f.ctx, plague.Event{At: time.Now(), What: "repo_script", To: "failed", Text: target + ": exit status 3"}))
}

// TestBadMailServers: whatever a mail server does, it has the mail in the end,
// and once if it can be known that it has it.
func TestBadMailServers(t *testing.T) {
	for name, c := range map[string]struct {
		step, does string
		copies     int
	}{
		"hangs up":                        {"greeting", "drop", 1},
		"is busy":                         {"greeting", "421 too many", 1},
		"never greets":                    {"greeting", "hang", 1},
		"never answers":                   {"EHLO", "hang", 1},
		"does not know us":                {"MAIL", "550 who are you", 1},
		"puts the recipient off":          {"RCPT", "451 greylisted", 1},
		"refuses the recipient, at first": {"RCPT", "550 relaying denied", 1},
		"hangs within the mail":           {"DATA", "hang", 1},
		"drops before it has it":          {"DATA", "drop", 1},
		"refuses the text, at first":      {"taken", "554 spam", 1},
		"is full":                         {"taken", "452 disk full", 1},
		"drops after it has it":           {"taken", "drop", 3}, // it has it, but nobody can know
		"drops after it said so":          {"said", "drop", 1},
		"hangs after it said so":          {"said", "hang", 1},
		"refuses our goodbye":             {"QUIT", "500 never", 1},
		"does not wait for our goodbye":   {"QUIT", "drop", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := sqlite(t), newMailServer(t)
			s.troubled(func(n int, at string) string {
				if n <= 2 && at == c.step {
					return c.does
				}
				return ""
			})
			f.start(notify.Config{Email: s.email(), Options: quick()})
			f.tell()
			f.until("the mail is there", func() bool { return len(s.all()) >= c.copies })
			f.settled()
			all := s.all()
			if len(all) != c.copies {
				t.Errorf("%d copies, want %d", len(all), c.copies)
			}
			for _, l := range all {
				if l.raw != all[0].raw {
					t.Errorf("copies differ:\n%s\n%s", all[0].raw, l.raw)
				}
			}
		})
	}
}

// TestNoMailServer: mails wait for a server that nobody can reach.
func TestNoMailServer(t *testing.T) {
	f, s := sqlite(t), newMailServer(t)
	gone := newMailServer(t)
	gone.close()
	stop := f.start(notify.Config{Email: gone.email(), Options: quick()})
	f.tell()
	f.until("it was tried three times", func() bool {
		ms, err := f.Outbox(f.ctx, true, 1)
		f.must(err)
		return len(ms) == 1 && ms[0].Tries >= 3 && strings.Contains(ms[0].Error, "refused")
	})
	stop()
	f.start(notify.Config{Email: s.email(), Options: quick()})
	f.until("the mail is there", func() bool { return len(s.all()) == 1 })
}

// TestGivenUp: a recipient that is refused for good, and a mail that is too
// old, are given up with an event; that event makes no further mail.
func TestGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		answer  string
		options func(*notify.Options)
	}{
		"refused for good": {"550 no such user", func(o *notify.Options) { o.Refused = 50 * time.Millisecond }},
		"too old":          {"451 later", func(o *notify.Options) { o.GiveUp = 200 * time.Millisecond }},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := sqlite(t), newMailServer(t)
			s.troubled(func(_ int, at string) string {
				if at == "RCPT" {
					return c.answer
				}
				return ""
			})
			o := quick()
			c.options(&o)
			f.start(notify.Config{Email: s.email(), Options: o})
			f.tell()
			f.until("there is an event", func() bool {
				es, err := f.Events(f.ctx, 0, 100)
				f.must(err)
				last := es[len(es)-1]
				return last.What == "mail" && last.To == "given up" && last.Who == "root@example.com" && strings.Contains(last.Text, c.answer[4:])
			})
			f.settled()
			if ms, err := f.Outbox(f.ctx, false, 10); err != nil || len(ms) != 1 || ms[0].Outcome != "given up" {
				t.Errorf("outbox: %+v, %v", ms, err)
			}
		})
	}
}

// TestCrashAfterAcceptance: the server dies between the mail server's yes and
// its own note of it. The mail is sent once more, and whoever gets both copies
// can tell: they are the same to the byte, Message-ID and date included.
func TestCrashAfterAcceptance(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		s := newMailServer(t)
		broken := func(op string) error {
			if strings.HasPrefix(op, "UPDATE outbox SET ended_at") {
				return errors.New("the disk is on fire")
			}
			return nil
		}
		f.broken.Store(&broken)
		o := quick()
		o.Lease = time.Second
		stop := f.start(notify.Config{Email: s.email(), Options: o, DB: f.open()})
		f.tell()
		f.until("the mail was accepted", func() bool { return len(s.all()) == 1 })
		stop() // with the note never written
		f.broken.Store(nil)
		f.start(notify.Config{Email: s.email(), Options: o, DB: f.open(), Name: "another server"})
		f.until("the mail was sent again", func() bool { return len(s.all()) == 2 })
		f.settled()
		if all := s.all(); all[0].raw != all[1].raw || all[0].Header.Get("Message-Id") == "" {
			t.Errorf("copies differ:\n%s\n%s", all[0].raw, all[1].raw)
		}
	})
}

// TestDatabaseAwayAfterAcceptance: a database that is away for a moment costs
// no second copy.
func TestDatabaseAwayAfterAcceptance(t *testing.T) {
	f, s := sqlite(t), newMailServer(t)
	var asked atomic.Int64
	broken := func(op string) error {
		if strings.HasPrefix(op, "UPDATE outbox SET ended_at") && asked.Add(1) < 5 {
			return errors.New("the disk is on fire")
		}
		return nil
	}
	f.broken.Store(&broken)
	o := quick()
	o.Lease = time.Minute
	f.start(notify.Config{Email: s.email(), Options: o})
	f.tell()
	f.until("the mail was sent and noted", func() bool { return asked.Load() == 5 })
	f.settled()
	if n := len(s.all()); n != 1 {
		t.Errorf("%d copies", n)
	}
}

// TestTwoServersSendOnce: of many servers over one database each mail is sent
// by one.
func TestTwoServersSendOnce(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		s := newMailServer(t)
		for _, name := range []string{"one", "two", "three"} {
			f.start(notify.Config{Name: name, Email: s.email(), Options: quick(), DB: f.open()})
		}
		const mails = 20
		for range mails {
			f.tell()
		}
		f.until("all mails are there", func() bool { return len(s.all()) >= mails })
		f.settled()
		ids := map[string]bool{}
		for _, l := range s.all() {
			ids[l.Header.Get("Message-Id")] = true
		}
		if n := len(s.all()); n != mails || len(ids) != mails {
			t.Errorf("%d mails with %d Message-IDs, want %d of both", n, len(ids), mails)
		}
	})
}

// TestNoPlainFallback: where TLS is asked for, nothing of a mail goes out
// without it.
func TestNoPlainFallback(t *testing.T) {
	f, s := sqlite(t), newMailServer(t)
	e := s.email()
	e.TLS, e.User, e.Password = "starttls", "plague", "secret-word"
	f.start(notify.Config{Email: e, Options: quick()})
	f.tell()
	f.until("it was tried", f.tried("STARTTLS"))
	if c := s.commands(); strings.Contains(c, "MAIL") || strings.Contains(c, "AUTH") {
		t.Errorf("the mail server was told:\n%s", c)
	}
}

// TestTLS: a mail and the password go over TLS, from the first byte or after
// STARTTLS, to whoever shows a certificate of that name, and to nobody else.
func TestTLS(t *testing.T) {
	for _, mode := range []string{"starttls", "tls"} {
		t.Run(mode, func(t *testing.T) {
			f, s := sqlite(t), newTLSMailServer(t, mode, mailCert)
			e := s.email()
			e.TLS, e.User, e.Password = mode, "plague", "wrong-word"
			stop := f.start(notify.Config{Email: e, Options: quick()})
			f.tell()
			f.until("the password was refused", f.tried("535"))
			stop()
			e.Password = "secret-word"
			f.start(notify.Config{Email: e, Options: quick()})
			f.until("the mail is there", func() bool { return len(s.all()) == 1 })
		})
		t.Run(mode+" with a certificate of nobody's", func(t *testing.T) {
			other := t.TempDir()
			f := sqlite(t)
			f.must(pki.CreateCA(other, "other", pki.Subject{}))
			ca, err := pki.LoadCA(other, "other")
			f.must(err)
			cert, key, err := ca.Issue(pki.Request{Role: pki.RoleServer, Name: "mail.example.com"})
			f.must(err)
			pair, err := tls.X509KeyPair(cert, key)
			f.must(err)
			s := newTLSMailServer(t, mode, pair)
			e := s.email()
			e.TLS, e.User, e.Password = mode, "plague", "secret-word"
			f.start(notify.Config{Email: e, Options: quick()})
			f.tell()
			f.until("it was refused", f.tried("certificate signed by unknown authority"))
			if c := s.commands(); strings.Contains(c, "AUTH") || strings.Contains(c, "MAIL") {
				t.Errorf("the mail server was told:\n%s", c)
			}
		})
	}
}

// tried says whether a try failed that way.
func (f *farm) tried(says string) func() bool {
	return func() bool {
		ms, err := f.Outbox(f.ctx, true, 1)
		f.must(err)
		return len(ms) == 1 && ms[0].Tries > 0 && strings.Contains(ms[0].Error, says)
	}
}
