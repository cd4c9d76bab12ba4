package brakes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
)

// The errors of what people ask for.
var (
	// ErrNotTripped is returned by Reset for a rule that may act anyway.
	ErrNotTripped = errors.New("the rule is not tripped")
	// ErrNoReason is returned where a person has to say why, in at most
	// events.MaxReason bytes.
	ErrNoReason = errors.New("a reason is needed")
)

// Change is that a rule tripped or was reset.
type Change struct {
	Rule string    `json:"rule"`
	What What      `json:"what"`
	At   time.Time `json:"at"`
	// Reason and By are a reset's. They may hold names: they are not for logs.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
}

// What is what happened to a rule.
type What string

// The changes of a rule.
const (
	WasTripped What = "tripped"
	WasReset   What = "reset"
)

// State is how a rule stands.
type State struct {
	// LastMinute and LastHour are how many actions were admitted. The hour
	// begins anew with a reset.
	LastMinute, LastHour int
	// Trip is nil where the rule may act.
	Trip *Trip
	// Past are its last trips and resets, oldest first.
	Past []Change
}

// State returns how every rule stands of which something is known: it acted in
// the last hour, is tripped, or was.
func (b *Brakes) State(ctx context.Context) (map[string]State, error) {
	l, err := b.ledger.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the brakes: %w", err)
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

// Reset lets a tripped rule act again. by says who did it.
func (b *Brakes) Reset(ctx context.Context, rule, reason, by string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("reset a rule: %w", err)
	}
	c := Change{Rule: rule, What: WasReset, At: b.now().UTC(), Reason: reason, By: by}
	was := false
	// What this process remembers may be tripped there alone.
	err := b.ledger.ChangeRead(ctx, func(l *ledger) bool {
		now := l.reset(c)
		was = was || now // a first try may have been kept though no answer came
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
