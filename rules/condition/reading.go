package condition

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gavel/projections"
)

// Reading is a record prepared for many conditions, one after the other: a value that several of
// them read is made once. It is not safe for concurrent use.
type Reading struct {
	vars Vars
	// timed is the condition whose next flip is computed, or nil.
	timed *Condition
	flip  time.Time
	// open and live are the record, and its live legs, as CEL values; nil until
	// a condition reads them.
	open *object
	live ref.Val
	// recalls: the event has passed, and kept is what was stored of it (Recall).
	recalls bool
	kept    Kept
	// fields are the fields that were kept of a participant as it was before the event; each such
	// participant has a reading of its own. Nil for all others.
	fields map[string]ref.Val
}

// Read prepares a record for conditions.
func Read(v Vars) *Reading { return &Reading{vars: v} }

// HoldsUntil is [Condition.HoldsUntil] for a participant, or for the conference
// as a whole if p is nil.
func (r *Reading) HoldsUntil(c *Condition, p *projections.Participant) (holds bool, flip time.Time, err error) {
	r.vars.Participant, r.timed, r.flip = p, c, time.Time{}
	holds, err = c.evaluate(r)
	return holds, r.flip, err
}

// addFlip records when a comparison of a running stretch first flips, if the
// flip of a condition is being computed.
func (r *Reading) addFlip(function string, from time.Time) {
	if r.timed == nil {
		return
	}
	for _, t := range r.timed.thresholds[function] {
		if at := t.after(from); at.After(r.vars.Now) && (r.flip.IsZero() || at.Before(r.flip)) {
			r.flip = at
		}
	}
}

// ResolveName is part of cel.Activation.
func (r *Reading) ResolveName(name string) (any, bool) {
	switch name {
	case "conference":
		if r.open == nil {
			r.open = r.conference(r.vars.Conference)
		}
		return r.open, true
	case "before":
		return r.conference(r.vars.Before), true
	case "participant":
		return r.participant(r.vars.Conference, r.vars.Participant), true
	case "event":
		return r.event(), true
	case "account":
		return types.String(r.vars.Account), true
	case "now":
		return types.Timestamp{Time: r.vars.Now}, true
	}
	return nil, false
}

// Parent is part of cel.Activation.
func (r *Reading) Parent() cel.Activation { return nil }

// liveIn returns the list of the legs that are in the object's conference now.
func (r *Reading) liveIn(o *object) ref.Val {
	if o != r.open {
		return o.participants(o.conference.Live())
	}
	if r.live == nil {
		r.live = o.participants(o.conference.Live())
	}
	return r.live
}
