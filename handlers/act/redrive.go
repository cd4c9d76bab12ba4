package act

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"gavel/events"
	"gavel/rules"
)

// ErrNotRedrivable is returned for a letter without a decision, or with one that cannot be read.
var ErrNotRedrivable = errors.New("the dead letter holds no decision that can be performed again")

// Redrive makes a new decision from one that was not performed in time. It returns the new id once
// the decision is stored. The new decision has a deadline of its own and passes the re-read, the
// brakes and the stop like any other, but the occasion of the old one may be over.
func (p *Performer) Redrive(ctx context.Context, letter events.DeadLetter, by events.Actor) (id string, err error) {
	if letter.Kind != events.Unperformed || letter.Decision == "" {
		return "", fmt.Errorf("redrive: %w", ErrNotRedrivable)
	}
	key := events.Key{AccountSid: letter.AccountSid, ConferenceSid: letter.ConferenceSid}
	d, err := p.Decisions.Get(ctx, key, letter.Decision)
	if err != nil {
		return "", fmt.Errorf("redrive: %w", err)
	}
	once, err := rules.ReadDecision(d.Data)
	if err != nil {
		return "", fmt.Errorf("redrive: %w", ErrNotRedrivable)
	}
	d.ID, d.AsOf = redrivenID(d.ID), p.Now().UTC()
	once.ID, once.AsOf, once.Verdict, once.Redriven = d.ID, d.AsOf, rules.Act, &by
	if d.Data, err = json.Marshal(once); err != nil {
		return "", fmt.Errorf("redrive: %w", err)
	}
	if _, err := p.Decisions.Decide(ctx, []events.Decided{d}); err != nil {
		return "", fmt.Errorf("redrive: %w", err)
	}
	p.Log.Warn("decision redriven by a person", "decision", letter.Decision, "as", d.ID, "rule", d.Rule)
	return d.ID, nil
}

// redrivenID returns a new id in the form of a decision's.
func redrivenID(old string) string {
	sum := sha256.Sum256([]byte(old + events.NewULID()))
	return hex.EncodeToString(sum[:16])
}
