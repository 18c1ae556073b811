package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/store"
)

const (
	mailCursor = "mail"
	batch      = 500  // events read at a time
	behind     = 1000 // events that make no mail before the cursor is moved all the same: a commit each would cost
)

// makeMails makes mails of events, and moves the cursor behind those events
// in the same transaction: none is lost and none is made twice, whichever
// server does it and wherever it is killed.
func (n *Notifier) makeMails(ctx context.Context) error {
	w := n.DB.Subscribe(store.TopicEvents)
	defer w.Close()
	for {
		more, err := n.digest(ctx)
		n.trouble(ctx, "making mails of events", err)
		if !more && !store.Wait(ctx, w.C, n.Options.Tick) || !store.Wait(ctx, nil, n.Options.Gather) {
			return ctx.Err()
		}
	}
}

// digest takes the next batch of events; more says that another may be there.
func (n *Notifier) digest(ctx context.Context) (more bool, err error) {
	cursor, err := n.DB.Cursor(ctx, mailCursor)
	if err != nil {
		return false, err
	}
	es, err := n.DB.Events(ctx, max(cursor, n.seen), batch)
	if err != nil || len(es) == 0 {
		return false, err
	}
	var made store.Mails
	for _, e := range es {
		if err := n.mailsOf(ctx, e, &made); errors.Is(err, plague.ErrUnavailable) || ctx.Err() != nil {
			return false, err
		} else if err != nil {
			// It would be no better the next time, and others wait behind it.
			n.Log.ErrorContext(ctx, "no mail for an event", "event", e.ID, "error", err)
		}
	}
	last := es[len(es)-1].ID
	if len(made.New)+len(made.Withdraw) == 0 && last-cursor < behind {
		n.seen = last
		return len(es) == batch, nil
	}
	return len(es) == batch, n.DB.Advance(ctx, time.Now(), mailCursor, cursor, last, made)
}

// mailsOf adds what one event makes.
func (n *Notifier) mailsOf(ctx context.Context, e plague.Event, made *store.Mails) error {
	if time.Since(e.At) > n.Options.GiveUp {
		return nil // the farm was off, or mails were: nobody wants to hear of it now
	}
	switch e.What {
	case "job":
		return n.jobMail(ctx, e, made)
	case "published":
		return n.signMail(ctx, e, made)
	case "repo_script":
		if e.To == "failed" {
			target, output, _ := strings.Cut(e.Text, ": ")
			return n.write(made, e, n.Email.Admins, "repo_script", map[string]any{"Target": target, "Output": output})
		}
	case "refused":
		return n.refusedMail(ctx, e, made)
	case "builder":
		return n.builderMail(e, made)
	}
	return nil
}

// refusedMail tells a user that a request of his for a build was refused, as each
// refusal did in 2005: many ask from scripts that nobody watches.
func (n *Notifier) refusedMail(ctx context.Context, e plague.Event, made *store.Mails) error {
	choice, err := n.DB.MailChoice(ctx, e.Who)
	if err != nil || choice == store.MailNone {
		return err
	}
	subject, _, _ := strings.Cut(e.Text, ": ")
	return n.write(made, e, []string{e.Who}, "refused", map[string]any{"Event": e, "Subject": subject})
}

// builderMail tells administrators of a builder that takes nothing new, unless
// it does again before they could have read it.
func (n *Notifier) builderMail(e plague.Event, made *store.Mails) error {
	about := "builder " + e.Who
	if e.To != "suspended" {
		made.New = slices.DeleteFunc(made.New, func(m store.Message) bool { return m.About == about })
		made.Withdraw = append(made.Withdraw, about)
		return nil
	}
	from := len(made.New)
	err := n.write(made, e, n.Email.Admins, "builder", map[string]any{"Builder": e.Who, "Reason": e.Text, "Grace": n.Options.Grace})
	for i := range made.New[from:] {
		made.New[from+i].About, made.New[from+i].Due = about, e.At.Add(n.Options.Grace)
	}
	return err
}

// signMail tells those who sign what has come into a repository, one mail for
// each snapshot and not for each job.
func (n *Notifier) signMail(ctx context.Context, e plague.Event, made *store.Mails) error {
	number, err := strconv.ParseInt(e.To, 10, 64)
	if err != nil {
		return fmt.Errorf("snapshot of the event: %w", err)
	}
	jobs, err := n.DB.JobsOf(ctx, e.Text, number)
	if err != nil || len(jobs) == 0 {
		return err
	}
	return n.write(made, e, n.Email.Signers, "needsign", map[string]any{"Target": e.Text, "Snapshot": number, "Jobs": jobs})
}

// jobMail tells a job's owner how it went.
func (n *Notifier) jobMail(ctx context.Context, e plague.Event, made *store.Mails) error {
	to := plague.JobState(e.To)
	if !slices.Contains([]plague.JobState{plague.JobFinished, plague.JobNeedSign, plague.JobReleased, plague.JobFailed, plague.JobKilled}, to) {
		return nil
	}
	j, err := n.DB.Job(ctx, e.Job)
	if err != nil {
		return err
	}
	choice, err := n.DB.MailChoice(ctx, j.User)
	if err != nil || choice == store.MailNone {
		return err
	}
	data := map[string]any{"Job": &j, "Event": e, "Results": n.url(j.Target, fmt.Sprintf("%d-%s", j.UID, j.NVR()))}
	text := "success"
	switch {
	case to == plague.JobFinished && !j.Scratch: // it goes on
		return nil
	case to == plague.JobFinished:
		if failed, err := n.anyFailed(ctx, j, e); err != nil || failed {
			return err // its failure is an event of its own
		}
	case to == plague.JobFailed:
		text, data["Stage"] = "failure", stage(plague.JobState(e.From))
		if data["Arches"], err = n.failedArches(ctx, j, e); err != nil {
			return err
		}
	case to == plague.JobKilled && e.Who == j.User: // who knows
		return nil
	case to == plague.JobKilled:
		text = "killed"
	case to == plague.JobReleased:
		text = "released"
	}
	if choice == store.MailFailures && to != plague.JobFailed && to != plague.JobKilled {
		return nil
	}
	return n.write(made, e, []string{j.User}, text, data)
}

// stage is what the subject calls a failure; "Prep Error" is of 2005.
func stage(from plague.JobState) string {
	switch from {
	case plague.JobPrep:
		return "Prep"
	case plague.JobCheckout:
		return "Checkout"
	case plague.JobMakeSRPM:
		return "Make SRPM"
	case plague.JobAddToRepo:
		return "Repository"
	}
	return "Build"
}

// maxBody bounds a mail, in bytes.
const maxBody = 64 << 10

// write adds one mail for each recipient. The first line of a text is its
// subject.
func (n *Notifier) write(made *store.Mails, e plague.Event, to []string, text string, data map[string]any) error {
	var b strings.Builder
	if err := n.texts.ExecuteTemplate(&b, text+".txt", data); err != nil {
		return fmt.Errorf("text %s: %w", text, err)
	}
	subject, body, _ := strings.Cut(b.String(), "\n")
	body = buildlog.Readable(strings.TrimSpace(body)) + "\n"
	if len(body) > maxBody {
		body = strings.ToValidUTF8(body[:maxBody], "") + "\n[cut]\n"
	}
	for _, one := range to {
		made.New = append(made.New, store.Message{Event: e.ID, To: one, Subject: buildlog.OneLine(subject), Body: body, At: e.At, Due: e.At})
	}
	return nil
}
