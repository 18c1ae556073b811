package plague

import "errors"

// The kinds of error that cross a room's wall. Rooms wrap them with %w and a
// sentence; one table in the wire room turns the kind into an XML-RPC fault,
// an HTTP status and an exit code.
var (
	ErrInvalid     = errors.New("invalid")     // the request itself is wrong: the same again fails again
	ErrDenied      = errors.New("denied")      // the caller may not do this
	ErrNotFound    = errors.New("not found")   // what was named does not exist
	ErrConflict    = errors.New("conflict")    // somebody else was there first, or the state does not allow it any more
	ErrUnavailable = errors.New("unavailable") // try again later: the database, a disk or a peer is out of reach
)

// Refusal is an error for a person: what was refused, of which kind, and what
// to do next. Its text is the sentence followed by the hint.
type Refusal struct {
	Kind error  // one of the kinds above
	Text string // what is wrong, naming the thing: lower case, no full stop
	Hint string // what to do about it; may be empty
}

// Refuse makes a Refusal.
func Refuse(kind error, text, hint string) error {
	return &Refusal{Kind: kind, Text: text, Hint: hint}
}

func (r *Refusal) Error() string {
	if r.Hint == "" {
		return r.Text
	}
	return r.Text + "; " + r.Hint
}

func (r *Refusal) Unwrap() error { return r.Kind }
