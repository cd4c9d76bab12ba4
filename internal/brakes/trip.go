package brakes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
)

// The errors of what operators request.
var (
	// ErrNotTripped is returned by Reset for a rule that is not tripped.
	ErrNotTripped = errors.New("the rule is not tripped")
	// ErrNoReason is returned if an operator's reason is missing or longer than
	// events.MaxReason bytes.
	ErrNoReason = errors.New("a reason is needed")
)

// Change is a trip or a reset of a rule.
type Change struct {
	Rule string    `json:"rule"`
	What What      `json:"what"`
	At   time.Time `json:"at"`
	// Reason and By are set for a reset. They may hold names: they are not for
	// logs.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
}

// What is the kind of a Change.
type What string

// The kinds of a Change.
const (
	WasTripped What = "tripped"
	WasReset   What = "reset"
)

// State is the state of a rule.
type State struct {
	// LastMinute and LastHour are numbers of admitted actions. A reset starts a
	// new hour.
	LastMinute, LastHour int
	// Trip is nil if the rule is not tripped.
	Trip *Trip
	// Past contains the rule's last trips and resets, oldest first.
	Past []Change
}

// State returns the state of every rule in the ledger: the rule acted in the last
// hour, is tripped, or has trips or resets in the past.
func (b *Brakes) State(ctx context.Context) (map[string]State, error) {
	l, err := b.ledger.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of admissions: %w", err)
	}
	now := b.now().Unix()
	states := make(map[string]State, len(l.Rules))
	for name, r := range l.Rules {
		states[name] = State{LastMinute: r.Minute.count(minute, now), LastHour: r.Hour.count(hour, now), Trip: r.Trip}
	}
	for _, c := range l.Past {
		s := states[c.Rule]
		s.Past = append(s.Past, c)
		states[c.Rule] = s
	}
	return states, nil
}

// Tripped returns the rules that are tripped.
func (b *Brakes) Tripped(ctx context.Context) (map[string]Trip, error) {
	states, err := b.State(ctx)
	trips := map[string]Trip{}
	for name, s := range states {
		if s.Trip != nil {
			trips[name] = *s.Trip
		}
	}
	return trips, err
}

// Reset lets a tripped rule act again. by identifies the operator.
func (b *Brakes) Reset(ctx context.Context, rule, reason, by string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("reset a rule: %w", err)
	}
	c := Change{Rule: rule, What: WasReset, At: b.now().UTC(), Reason: reason, By: by}
	was := false
	// ChangeRead, because the ledger in this process's memory may be out of date.
	err := b.ledger.ChangeRead(ctx, func(l *ledger) bool {
		now := l.reset(c)
		was = was || now // the first try may have been saved although its answer was lost
		return now
	})
	if err != nil {
		return fmt.Errorf("reset a rule: %w", err)
	}
	if !was {
		return fmt.Errorf("reset a rule: %w", ErrNotTripped)
	}
	b.log.Warn("rule was reset: it may act again", "rule", rule)
	return nil
}

func checkReason(reason string) error {
	if reason == "" || len(reason) > events.MaxReason {
		return fmt.Errorf("%w, of at most %d bytes", ErrNoReason, events.MaxReason)
	}
	return nil
}
