package wire

import (
	"context"
	"time"

	"plague"
)

// EventsPath is where the users' door serves the stream of events.
const EventsPath = "/events"

// HookRecord is a hook as hooks lists it.
type HookRecord struct {
	Name   string
	Event  plague.EventID // what comes after it was not brought yet
	Behind int64          // how many events at most that are
	Tries  int            // in a row that failed
	Due    int64          // unix seconds: when the next try may be made; 0: at once
}

// HookDetail is what hook answers.
type HookDetail struct {
	HookRecord
	Answers []HookAnswer // the newest first
}

// HookAnswer is what became of one delivery.
type HookAnswer struct {
	Event  plague.EventID
	At     int64
	Took   time.Duration
	Status int    // of HTTP; 0: there was none
	Error  string // empty: it was delivered
}

// MailChoice is what set_mail_choice takes.
type MailChoice struct {
	Email  string // empty: the caller's
	Choice string // all, failures or none
}

// OutboxRecord is a mail that waits.
type OutboxRecord struct {
	Event   plague.EventID
	To      string
	Subject string
	At      int64
	Due     int64
	Tries   int
	Error   string // of the last try
}

// Hooks lists the hooks; it needs server_admin.
func (u *User) Hooks(ctx context.Context) ([]HookRecord, error) {
	return call[[]HookRecord](ctx, u.RPC, CallHooks)
}

// Hook shows one hook; it needs server_admin.
func (u *User) Hook(ctx context.Context, name string) (HookDetail, error) {
	return call[HookDetail](ctx, u.RPC, CallHook, name)
}

// MailChoice says of which jobs a user wants mail; of the caller's, if none is named.
func (u *User) MailChoice(ctx context.Context, email string) (string, error) {
	return call[string](ctx, u.RPC, CallMailChoice, email)
}

// SetMailChoice chooses for a user and says so.
func (u *User) SetMailChoice(ctx context.Context, in MailChoice) (string, error) {
	return call[string](ctx, u.RPC, CallSetMailChoice, in)
}

// Outbox lists the mails that wait; it needs server_admin.
func (u *User) Outbox(ctx context.Context) ([]OutboxRecord, error) {
	return call[[]OutboxRecord](ctx, u.RPC, CallOutbox)
}
