package condition

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gavel/projections"
)

// Reading is a record laid open for many conditions, one after the other: what
// several of them read is made once. It is for one goroutine.
type Reading struct {
	vars Vars
	// asked is the condition whose flip is looked for, or nil.
	asked *Condition
	flip  time.Time
	// open and live are the record, and the legs in it now, as CEL sees them;
	// nil until something reads them.
	open *object
	live ref.Val
	// recalls: the event is gone, and kept is what is left of it (Recall).
	recalls bool
	kept    Kept
	// fields are what is left of a participant as it was before the event; such a
	// participant has a reading of its own. Nil for all others.
	fields map[string]ref.Val
}

// Read lays open what conditions can read.
func Read(v Vars) *Reading { return &Reading{vars: v} }

// HoldsUntil is [Condition.HoldsUntil] about a participant, nil for the
// conference as a whole.
func (r *Reading) HoldsUntil(c *Condition, p *projections.Participant) (holds bool, flip time.Time, err error) {
	r.vars.Participant, r.asked, r.flip = p, c, time.Time{}
	holds, err = c.evaluate(r)
	return holds, r.flip, err
}

// grows hears that the condition asked reached a stretch that grows with the
// clock, and notes when the first comparison of one flips.
func (r *Reading) grows(function string, from time.Time) {
	if r.asked == nil {
		return
	}
	for _, t := range r.asked.thresholds[function] {
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

// liveIn is the list of the legs that are in the object's conference now.
func (r *Reading) liveIn(o *object) ref.Val {
	if o != r.open {
		return o.participants(o.conference.Live())
	}
	if r.live == nil {
		r.live = o.participants(o.conference.Live())
	}
	return r.live
}
