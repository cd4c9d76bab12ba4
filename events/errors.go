package events

import (
	"errors"
	"fmt"
	"time"
)

// FormError says which parameter is out of form and how. Its text never holds
// the value: values may be names and numbers of people.
type FormError struct {
	Field  string
	Reason string
}

// Error names the field.
func (e *FormError) Error() string { return e.Field + ": " + e.Reason }

// The classes that steer delivery, and nothing else does: an error wrapping
// ErrMalformed can never succeed (terminate and dead-letter), one wrapping
// Later says when to try again, any other error may succeed (deliver again
// later), nil is done.
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

// The errors of a bucket (keys and values that all processes share) by which its
// users decide. They are here so that its users need not import the bus.
var (
	// ErrKeyNotFound means that the bucket has no such key.
	ErrKeyNotFound = errors.New("key not found in the bucket")

	// ErrKeyChanged means that another writer changed the key after the caller
	// read it. Nothing was written; read again, then try again.
	ErrKeyChanged = errors.New("key was changed by another writer")
)

// Is makes every FormError an ErrMalformed.
func (e *FormError) Is(target error) bool { return target == ErrMalformed }

// MaxLater is the longest that a Later puts a message off. What has to wait
// for longer stays undelivered somewhere else: a message that is put off is
// pending, and many of them would stop everybody's delivery.
const MaxLater = 5 * time.Second

// Later is the error of a handler that wants its message again after a while.
type Later struct {
	// After is at most MaxLater; more is cut.
	After time.Duration
}

// Error says after what time.
func (l Later) Error() string { return fmt.Sprintf("not before %v have passed", l.After) }
