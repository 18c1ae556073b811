package rpm

import (
	"errors"
	"fmt"
)

// ErrNotRPM is the kind of every error about a file's content: no RPM file, a
// truncated one, a damaged one, or one that contradicts itself. Trouble with
// reading it is of another kind, and may be gone the next time.
var ErrNotRPM = errors.New("not an RPM file")

// A formatError says what is wrong with a file, in its own words.
type formatError struct {
	text  string
	cause error // may be nil
}

func (e *formatError) Error() string        { return e.text }
func (e *formatError) Is(target error) bool { return target == ErrNotRPM }
func (e *formatError) Unwrap() error        { return e.cause }

// damaged is for a file that is an RPM file at first sight.
func damaged(format string, args ...any) error {
	err := fmt.Errorf("damaged RPM file: "+format, args...)
	return &formatError{err.Error(), errors.Unwrap(err)}
}
