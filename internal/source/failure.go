package source

import (
	"errors"

	"plague"
)

// Failure tells the server what an error of this room is: what was refused, or is
// not there, the packager has to mend; everything else is the farm's trouble and
// may be tried again.
func Failure(err error, phase plague.Phase) *plague.Failure {
	kind := plague.FailureInfrastructure
	for _, k := range []error{plague.ErrInvalid, plague.ErrDenied, plague.ErrNotFound} {
		if errors.Is(err, k) {
			kind = plague.FailurePackage
		}
	}
	return &plague.Failure{Kind: kind, Phase: phase, Message: err.Error()}
}
