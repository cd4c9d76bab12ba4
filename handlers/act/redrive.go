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

// ErrNotRedrivable is returned for a letter that is about no decision, or about
// one that cannot be read.
var ErrNotRedrivable = errors.New("the letter holds no decision that can be done again")

// Redrive decides once more what was not carried out in time, under a new id,
// which it returns once that is kept. The new decision has a deadline of its
// own and passes the re-read, the brakes and the stop like any other; only that
// the occasion of the old one is over does not count.
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
	p.Log.Warn("decision is done once more because a person asked", "decision", letter.Decision, "as", d.ID, "rule", d.Rule)
	return d.ID, nil
}

// redrivenID is a new id of a decision's form.
func redrivenID(old string) string {
	sum := sha256.Sum256([]byte(old + events.NewULID()))
	return hex.EncodeToString(sum[:16])
}
