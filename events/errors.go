package events

import (
	"errors"
	"fmt"
	"time"
)

// FormError names a parameter that is out of form, and how. Its text never holds
// the value: values may be names and numbers of people.
type FormError struct {
	Field  string
	Reason string
}

// Error names the field and the reason.
func (e *FormError) Error() string { return e.Field + ": " + e.Reason }

// Only these classes of errors decide on redelivery: after an error wrapping ErrMalformed no try
// can succeed (terminate, and store a dead letter), one wrapping Later gives the delay of the next
// try, after any other error a later try may succeed (redeliver), and nil is done.
var (
	// ErrMalformed marks a message that no try can process.
	ErrMalformed = errors.New("malformed")

	// ErrUnavailable means that a dependency is known to be down: do not wait for it now.
	ErrUnavailable = errors.New("unavailable")

	// ErrLaneMoved means that another projector owns the lane now. It does not mean a failure.
	ErrLaneMoved = errors.New("lane is owned by another projector")

	// ErrNoDecision means that a decision does not exist: it was never made, or was removed with its
	// conference.
	ErrNoDecision = errors.New("decision does not exist")
)

// The errors of a bucket (keys and values that all processes share) that its
// users check. They are here so that its users need not import the bus.
var (
	// ErrKeyNotFound means that the bucket has no such key.
	ErrKeyNotFound = errors.New("key not found in the bucket")

	// ErrKeyDamaged means that a key of a bucket was stored and is lost, or has an earlier value
	// again: the store is damaged.
	ErrKeyDamaged = errors.New("damaged in the store")

	// ErrKeyChanged means that another writer changed the key after the caller
	// read it. Nothing was written; read again, then try again.
	ErrKeyChanged = errors.New("key was changed by another writer")
)

// Is makes every FormError an ErrMalformed.
func (e *FormError) Is(target error) bool { return target == ErrMalformed }

// MaxLater is the longest delay of a Later. For a longer wait use an alarm: a
// delayed message is pending, and many of them would stop all delivery.
const MaxLater = 5 * time.Second

// Later is the error of a handler whose message is to be redelivered after a delay.
type Later struct {
	// After is at most MaxLater; more is cut.
	After time.Duration
}

// Error states the delay.
func (l Later) Error() string { return fmt.Sprintf("not before %v have passed", l.After) }
