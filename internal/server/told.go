package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/auth"
	"plague/internal/store"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// hooks lists the hooks of the configuration, and how each is.
func (s *Server) hooks(ctx context.Context, _ []any) (any, error) {
	if _, err := s.may(ctx, auth.Told, ""); err != nil {
		return nil, err
	}
	records, err := s.hookRecords(ctx)
	if err != nil {
		return nil, err
	}
	return xmlrpc.Marshal(records)
}

func (s *Server) hookRecords(ctx context.Context) ([]wire.HookRecord, error) {
	all, err := s.DB.Hooks(ctx)
	if err != nil {
		return nil, err
	}
	last, err := s.DB.LastEvent(ctx)
	if err != nil {
		return nil, err
	}
	records := []wire.HookRecord{}
	for _, h := range all {
		if !slices.Contains(s.Hooks, h.Name) {
			continue // it was in an older configuration
		}
		r := wire.HookRecord{Name: h.Name, Event: h.Event, Behind: int64(last - h.Event), Tries: h.Tries, Due: unix(h.Due)}
		records = append(records, r)
	}
	return records, nil
}

// hook shows one hook with its last answers.
func (s *Server) hook(ctx context.Context, name string) (wire.HookDetail, error) {
	var d wire.HookDetail
	if _, err := s.may(ctx, auth.Told, ""); err != nil {
		return d, err
	}
	records, err := s.hookRecords(ctx)
	if err != nil {
		return d, err
	}
	at := slices.IndexFunc(records, func(r wire.HookRecord) bool { return r.Name == name })
	if at < 0 {
		hint := "no hook is configured: they are in the section [Hooks] of the server's configuration"
		if len(s.Hooks) > 0 {
			hint = "the hooks are " + strings.Join(s.Hooks, ", ")
		}
		if near := plague.Nearest(name, s.Hooks); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		return d, plague.Refuse(plague.ErrNotFound, fmt.Sprintf("there is no hook %q", name), hint)
	}
	answers, err := s.DB.HookAnswers(ctx, name)
	d.HookRecord, d.Answers = records[at], []wire.HookAnswer{}
	for _, a := range answers {
		d.Answers = append(d.Answers, wire.HookAnswer{Event: a.Event, At: unix(a.At), Took: a.Took, Status: a.Status, Error: a.Error})
	}
	return d, err
}

// mailChoice says of which of his jobs a user wants mail; the caller, if none is named.
func (s *Server) mailChoice(ctx context.Context, email string) (string, error) {
	email, _, err := s.mailOf(ctx, email)
	if err != nil {
		return "", err
	}
	c, err := s.DB.MailChoice(ctx, email)
	return string(c), err
}

// setMailChoice chooses for a user; for the caller, if none is named.
func (s *Server) setMailChoice(ctx context.Context, in wire.MailChoice) (string, error) {
	email, who, err := s.mailOf(ctx, in.Email)
	if err != nil {
		return "", err
	}
	if err := s.DB.SetMailChoice(ctx, time.Now(), who, email, store.MailChoice(in.Choice)); err != nil {
		return "", err
	}
	s.Log.InfoContext(ctx, "mail chosen", "of", email, "user", who, "choice", in.Choice)
	return fmt.Sprintf("%s gets mail: %s.", email, in.Choice), nil
}

// mailOf says whose choice it is, and who asks: others' is for those who change users.
func (s *Server) mailOf(ctx context.Context, email string) (of, who string, err error) {
	u, err := s.caller(ctx)
	if err != nil || email == "" || email == u.Email {
		return u.Email, u.Email, err
	}
	if err := auth.Check(u, auth.Users, ""); err != nil {
		return "", "", err
	}
	_, err = s.DB.User(ctx, email)
	if errors.Is(err, plague.ErrNotFound) {
		err = plague.Refuse(plague.ErrNotFound, "there is no user "+email, "`plague user list` shows them")
	}
	return email, u.Email, err
}

// outboxShown is how many mails of those that wait are shown.
const outboxShown = 1000

// outbox lists the mails that wait, the newest first.
func (s *Server) outbox(ctx context.Context, _ []any) (any, error) {
	if _, err := s.may(ctx, auth.Told, ""); err != nil {
		return nil, err
	}
	waiting, err := s.DB.Outbox(ctx, true, outboxShown)
	if err != nil {
		return nil, err
	}
	records := []wire.OutboxRecord{}
	for _, m := range waiting {
		records = append(records, wire.OutboxRecord{Event: m.Event, To: m.To, Subject: m.Subject, At: unix(m.At), Due: unix(m.Due), Tries: m.Tries, Error: m.Error})
	}
	return xmlrpc.Marshal(records)
}

// lateAfter is how long a mail that is due may wait for its first try.
const lateAfter = 5 * time.Minute

// late counts the mails and hooks of which the last try failed, and the mails that
// wait behind those.
func (s *Server) late(ctx context.Context) (mails, hooks int, err error) {
	if mails, err = s.DB.LateMessages(ctx, time.Now().Add(-lateAfter)); err != nil {
		return 0, 0, err
	}
	records, err := s.hookRecords(ctx)
	for _, h := range records {
		if h.Tries > 0 {
			hooks++
		}
	}
	return mails, hooks, err
}
