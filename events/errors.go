package events

import "errors"

// FormError says which parameter is out of form and how. Its text never holds
// the value: values may be names and numbers of people.
type FormError struct {
	Field  string
	Reason string
}

// Error names the field.
func (e *FormError) Error() string { return e.Field + ": " + e.Reason }

// The classes that steer delivery, and nothing else does: an error wrapping
// ErrMalformed can never succeed (terminate and dead-letter), any other error
// may (deliver again later), nil is done.
var (
	// ErrMalformed marks what no repetition can mend.
	ErrMalformed = errors.New("malformed")

	// ErrUnavailable means that a dependency is known to be down: do not wait
	// for it now.
	ErrUnavailable = errors.New("unavailable")

	// ErrLaneMoved means that a lane is another projector's now. Nothing is
	// wrong with it.
	ErrLaneMoved = errors.New("lane is in other hands")
)

// Is makes every FormError an ErrMalformed.
func (e *FormError) Is(target error) bool { return target == ErrMalformed }
