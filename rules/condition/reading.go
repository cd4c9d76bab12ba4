package condition

import (
	"slices"
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
	// of is the condition that is evaluated. values are those of shared parts, by their names; recording
	// is the one that is being evaluated, or nil.
	of        *Condition
	values    map[string]*value
	recording *value
	// known are the results of conditions that several rules have.
	known map[subject]result
	// nones and valued are the results of HoldsForNone and HasValues, by the condition's text.
	nones, valued map[string]bool
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
	if !c.repeats || !r.crowded() {
		return r.evaluate(c, p)
	}
	key := subject{c, p}
	known, there := r.known[key]
	if !there {
		if r.known == nil {
			r.known = map[subject]result{}
		}
		known.holds, known.flip, known.err = r.evaluate(c, p)
		r.known[key] = known
	}
	return known.holds, known.flip, known.err
}

func (r *Reading) evaluate(c *Condition, p *projections.Participant) (holds bool, flip time.Time, err error) {
	r.vars.Participant, r.timed, r.flip = p, c, time.Time{}
	holds, err = c.evaluate(r)
	return holds, r.flip, err
}

// crowd is the number of participants from which on keeping results costs less than evaluating twice.
const crowd = 10

func (r *Reading) crowded() bool {
	return r.vars.Conference != nil && len(r.vars.Conference.Participants) >= crowd
}

// subject is a condition and what it is evaluated for; result is what HoldsUntil returns for it.
type subject struct {
	of  *Condition
	leg *projections.Participant
}

type result struct {
	holds bool
	flip  time.Time
	err   error
}

// HoldsForNone reports whether a condition has a value for each of the legs, and holds for none. It
// is false for few legs, which cost less to evaluate one by one. The answer for a text is kept, so all
// calls have to name the same legs.
func (r *Reading) HoldsForNone(c *Condition, legs []*projections.Participant) bool {
	return r.allLegs(&r.nones, c, legs, func(holds bool, err error) bool { return !holds && err == nil })
}

// HasValues reports whether a condition has a value for each of the legs, and no error. What is stated
// of HoldsForNone holds for it too.
func (r *Reading) HasValues(c *Condition, legs []*projections.Participant) bool {
	return r.allLegs(&r.valued, c, legs, func(_ bool, err error) bool { return err == nil })
}

// allLegs reports whether the results of a condition for all legs are as required, and keeps the answer.
func (r *Reading) allLegs(kept *map[string]bool, c *Condition, legs []*projections.Participant, required func(holds bool, err error) bool) bool {
	if !r.crowded() {
		return false
	}
	if all, known := (*kept)[c.text]; known {
		return all
	}
	all := !slices.ContainsFunc(legs, func(p *projections.Participant) bool {
		holds, _, err := r.HoldsUntil(c, p)
		return !required(holds, err)
	})
	if *kept == nil {
		*kept = map[string]bool{}
	}
	(*kept)[c.text] = all
	return all
}

// addFlip records when a comparison of a running stretch first flips, if the
// flip of a condition is being computed.
func (r *Reading) addFlip(function string, from time.Time) {
	if r.recording != nil {
		r.recording.reached = append(r.recording.reached, reached{function, from})
		return
	}
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
	if isShared(name) {
		return r.shared(name), true
	}
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
