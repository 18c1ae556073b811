package notify

import (
	"context"
	"errors"
	"time"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/store"
)

// sendMails sends what is due, one mail after the other. Any server may: the
// claim is a lease in the store.
func (n *Notifier) sendMails(ctx context.Context) error {
	w := n.DB.Subscribe(store.TopicChores)
	defer w.Close()
	for away := 0; ; {
		m, err := n.DB.ClaimMessage(ctx, time.Now(), n.Name, n.Options.Lease)
		n.trouble(ctx, "looking for mails to send", err)
		if err == nil && m != nil {
			reached, err := n.sendMail(ctx, m)
			n.trouble(ctx, "sending a mail", err)
			if reached {
				away = 0
				continue
			}
			// Nobody listens there: the next mail would cost as long a wait.
			away++
			if !store.Wait(ctx, nil, min(n.Options.Retry<<min(away-1, 10), 10*n.Options.Retry)/2) {
				return ctx.Err()
			}
			continue
		}
		if !store.Wait(ctx, w.C, n.Options.Tick) {
			return ctx.Err()
		}
	}
}

// sendMail makes one try and writes down what came of it.
func (n *Notifier) sendMail(ctx context.Context, m *store.Message) (reached bool, err error) {
	out, err := compose(m, n.Email, n.farm)
	if err == nil {
		reached, err = n.Email.send(ctx, n.Options.Timeout, out)
	}
	if ctx.Err() != nil && err != nil {
		return reached, ctx.Err() // cut off: the lease runs out
	}
	now := time.Now()
	switch age := now.Sub(m.At); {
	case err == nil:
		n.Log.InfoContext(ctx, "mail sent", "event", m.Event, "to", m.To, "subject", m.Subject)
		return reached, n.sent(ctx, m)
	case errors.Is(err, errCompose), age > n.Options.GiveUp, age > n.Options.Refused && refusedForGood(err):
		n.Log.ErrorContext(ctx, "mail given up", "event", m.Event, "to", m.To, "subject", m.Subject, "error", err)
		return true, n.DB.GiveUpMessage(ctx, now, m, n.Name, buildlog.OneLine(err.Error()))
	}
	// The words of 2005, spelt as they were mended later.
	n.Log.WarnContext(ctx, "could not send email", "event", m.Event, "to", m.To, "subject", m.Subject, "tries", m.Tries+1, "error", err)
	return reached, n.DB.MessageLater(ctx, m, n.Name, now.Add(n.Options.backoff(m.Tries)), buildlog.OneLine(err.Error()))
}

// sent ends a mail that the mail server has accepted, also when the database
// is away for a minute: if it is never told, the mail is sent again when the
// lease is over, with the same Message-ID.
func (n *Notifier) sent(ctx context.Context, m *store.Message) error {
	for end := time.Now().Add(n.Options.Lease); ; {
		note, cancel := afterwards(ctx)
		err := n.DB.Sent(note, time.Now(), m, n.Name)
		cancel()
		if !errors.Is(err, plague.ErrUnavailable) || time.Now().After(end) || !store.Wait(ctx, nil, n.Options.Tick) {
			return err
		}
	}
}

// dropMails forgets what was sent long ago.
func (n *Notifier) dropMails(ctx context.Context) error {
	for {
		n.trouble(ctx, "forgetting old mails", n.DB.DropMessages(ctx, time.Now().Add(-n.Options.Keep)))
		if !store.Wait(ctx, nil, time.Hour) {
			return ctx.Err()
		}
	}
}
