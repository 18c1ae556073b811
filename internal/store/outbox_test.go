package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// mail is a message about an event of the farm's.
func (f *farm) mail(event plague.EventID, to string) store.Message {
	return store.Message{Event: event, To: to, Subject: fmt.Sprint("about ", event), Body: "text\n", At: f.now, Due: f.now}
}

// outbox is what waits or has ended, one word for each.
func (f *farm) outbox() string {
	f.t.Helper()
	ms, err := f.Outbox(f.ctx, false, 100)
	f.must(err)
	var all []string
	for _, m := range ms {
		all = append(all, fmt.Sprintf("%d/%s:%s", m.Event, m.To, m.Outcome))
	}
	return strings.Join(all, " ")
}

// TestMailsTogetherWithTheirCursor: a cursor and what the events before it make
// are written together or not at all, and once, however many servers try.
func TestMailsTogetherWithTheirCursor(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		at, err := f.Cursor(f.ctx, "mail")
		f.must(err)
		f.submit(newJob("ethtool", "1.8"))
		last, err := f.LastEvent(f.ctx)
		f.must(err)
		if again, err := f.Cursor(f.ctx, "mail"); err != nil || again != at || last <= at {
			t.Fatalf("the cursor moved by itself: %d, %d, %v; the events end at %d", at, again, err, last)
		}
		m := store.Mails{New: []store.Message{f.mail(last, "a@example.com"), f.mail(last, "b@example.com"), f.mail(last, "a@example.com")}}

		broken := f.tap()
		for _, op := range []string{"UPDATE cursors", "INSERT INTO outbox", "commit"} {
			broken.set(func(o string) error {
				if strings.HasPrefix(o, op) {
					return errInjected
				}
				return nil
			})
			if err := broken.Advance(f.ctx, f.now, "mail", at, last, m); !errors.Is(err, errInjected) {
				t.Errorf("broken at %s: %v", op, err)
			}
			if now, err := f.Cursor(f.ctx, "mail"); err != nil || now != at || f.outbox() != "" {
				t.Errorf("broken at %s: cursor %d, %v, outbox %q", op, now, err, f.outbox())
			}
		}

		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			other := f.open(store.Options{})
			wg.Go(func() { errs[i] = other.Advance(f.ctx, f.now, "mail", at, last, m) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, plague.ErrConflict) {
				t.Error(err)
			}
		}
		if want := fmt.Sprintf("%d/b@example.com: %d/a@example.com:", last, last); won != 1 || f.outbox() != want {
			t.Errorf("%d servers moved the cursor, outbox %q, want %q", won, f.outbox(), want)
		}
	})
}

// TestMessageLife: a claim is a lease, a try that failed is counted and put
// off, and what has ended is nobody's any more.
func TestMessageLife(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		f.post(store.Mails{New: []store.Message{f.mail(1, "a@example.com"), f.mail(2, "b@example.com")}})
		a := f.claimMessage("one")
		b := f.claimMessage("two")
		if a.To != "a@example.com" || b.To != "b@example.com" || a.Body != "text\n" || !a.At.Equal(f.now) {
			t.Fatalf("claimed %+v and %+v", a, b)
		}
		if m, err := f.ClaimMessage(f.ctx, f.now, "three", time.Minute); err != nil || m != nil {
			t.Fatalf("claimed %v, %v, which others hold", m, err)
		}
		late := func(want int) {
			t.Helper()
			if n, err := f.LateMessages(f.ctx, f.now); err != nil || n != want {
				t.Errorf("%d late messages, %v, want %d", n, err, want)
			}
		}
		late(0)
		f.must(f.MessageLater(f.ctx, b, "two", f.now.Add(time.Hour), "server away"))
		late(1)
		f.later(2 * time.Minute) // the first server died
		late(2)
		again := f.claimMessage("three")
		if again.ID != a.ID {
			t.Fatalf("claimed %d after the lease of %d", again.ID, a.ID)
		}
		f.refused(f.Sent(f.ctx, f.now, a, "one"), plague.ErrConflict)
		f.refused(f.MessageLater(f.ctx, a, "one", f.now, ""), plague.ErrConflict)
		f.refused(f.GiveUpMessage(f.ctx, f.now, a, "one", ""), plague.ErrConflict)
		f.must(f.Sent(f.ctx, f.now, again, "three"))
		f.refused(f.Sent(f.ctx, f.now, again, "three"), plague.ErrConflict)

		f.later(time.Hour)
		b = f.claimMessage("one")
		if b.Tries != 1 || b.Error != "server away" {
			t.Errorf("second try: %+v", b)
		}
		f.must(f.GiveUpMessage(f.ctx, f.now, b, "one", "no such user"))
		if got := f.outbox(); got != "2/b@example.com:given up 1/a@example.com:sent" {
			t.Errorf("outbox: %s", got)
		}
		last, err := f.LastEvent(f.ctx)
		f.must(err)
		es, err := f.Events(f.ctx, last-1, 10)
		f.must(err)
		if len(es) != 1 || es[0].What != "mail" || es[0].To != "given up" || es[0].Who != "b@example.com" || es[0].Text != "about 2: no such user" {
			t.Errorf("events: %+v", es)
		}
		f.must(f.DropMessages(f.ctx, f.now))
		if got := f.outbox(); got != "2/b@example.com:given up" {
			t.Errorf("outbox after the old are dropped: %s", got)
		}
	})
}

// TestWithdraw: what is over before its message is due is not told; what was
// tried is.
func TestWithdraw(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		early, tried, other := f.mail(1, "root@example.com"), f.mail(2, "root@example.com"), f.mail(3, "root@example.com")
		early.About, tried.About, other.About = "builder b1", "builder b1", "builder b2"
		early.Due, other.Due = f.now.Add(time.Hour), f.now.Add(time.Hour)
		f.post(store.Mails{New: []store.Message{early, tried, other}})
		m := f.claimMessage("one")
		f.must(f.MessageLater(f.ctx, m, "one", f.now.Add(time.Hour), "away"))
		f.post(store.Mails{Withdraw: []string{"builder b1", ""}})
		if got := f.outbox(); got != "3/root@example.com: 2/root@example.com: 1/root@example.com:withdrawn" {
			t.Errorf("outbox: %s", got)
		}
	})
}

func TestMailChoices(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for _, want := range []store.MailChoice{store.MailNone, store.MailFailures, store.MailAll} {
			f.must(f.SetMailChoice(f.ctx, f.now, "dev@example.com", "dev@example.com", want))
			if got, err := f.MailChoice(f.ctx, "dev@example.com"); err != nil || got != want {
				t.Errorf("choice %q, %v, want %q", got, err, want)
			}
		}
		if got, err := f.MailChoice(f.ctx, "new@example.com"); err != nil || got != store.MailAll {
			t.Errorf("choice of one who did not choose: %q, %v", got, err)
		}
		f.refused(f.SetMailChoice(f.ctx, f.now, "x", "x", "some"), plague.ErrInvalid, "some", "failures")
	})
}

// TestJobsOf: a snapshot's mail names the jobs that came with it.
func TestJobsOf(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for _, pkg := range []string{"ethtool", "tree"} {
			f.done(f.submit(newJob(pkg, "1")), "x86_64")
			f.publish()
		}
		js, err := f.JobsOf(f.ctx, target, 2)
		f.must(err)
		if len(js) != 1 || js[0].Package != "tree" {
			t.Errorf("jobs of the second snapshot: %+v", js)
		}
	})
}

// post moves the cursor by one to write mails.
func (f *farm) post(m store.Mails) {
	f.t.Helper()
	at, err := f.Cursor(f.ctx, "mail")
	f.must(err)
	f.must(f.Advance(f.ctx, f.now, "mail", at, at+1, m))
}

func (f *farm) claimMessage(who string) *store.Message {
	f.t.Helper()
	m, err := f.ClaimMessage(f.ctx, f.now, who, time.Minute)
	f.must(err)
	if m == nil {
		f.t.Fatal("no message is due")
	}
	return m
}
