package condition

import (
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gavel/projections"
)

// function is one function that we add to CEL.
type function struct {
	name    string
	args    []*cel.Type
	result  *cel.Type
	member  bool // called as x.name(...)
	usage   string
	doc     string
	example string // like the example of a field
	// changedBy are the kinds of events that can change the result, as for a field, and parts
	// decide it; both are empty if it depends on the arguments only.
	changedBy Kinds
	parts     Parts
	// cost of one call, in CEL's units; comparing ten characters costs one
	// unit. 0 leaves the estimate to CEL.
	cost uint64
	// An elapsed-time function has since, which returns the stretch whose
	// length is the result; all other functions have call.
	call  func(args ...ref.Val) ref.Val
	since func(o *object, args ...ref.Val) stretch
}

// stretch is a time that has lasted since From, up to now or to Until. The zero
// stretch has not begun.
type stretch struct{ From, Until time.Time }

// running reports whether the stretch grows with the clock.
func (s stretch) running() bool { return !s.From.IsZero() && s.Until.IsZero() }

// length returns how long it has lasted, at least 0: Twilio's clock may be ahead of ours.
func (s stretch) length(now time.Time) time.Duration {
	switch {
	case s.From.IsZero():
		return 0
	case !s.Until.IsZero():
		now = s.Until
	}
	return max(0, now.Sub(s.From))
}

var (
	one         = []*cel.Type{conferenceType}
	withPattern = []*cel.Type{conferenceType, text}
)

// functions are in the order of the reference page. Call centres need them.
var functions = []function{
	{name: "alone_for", args: one, result: cel.DurationType, cost: mostParticipants, changedBy: present,
		usage: "alone_for(conference)", parts: Life | Presence, since: aloneSince,
		doc:     "How long the only live participant has been alone in the conference; 0s if there is none, or more than one.",
		example: `alone_for(conference) >= duration("30s")`},
	{name: "held_for", args: []*cel.Type{participantType}, result: cel.DurationType, cost: projections.MaxTurns, changedBy: present,
		usage: "held_for(participant)", parts: Life | Presence | Holds, since: heldSince,
		doc:     "How long the participant has been on hold without a break; 0s if it is not on hold.",
		example: `held_for(participant) > duration("45s")`},
	{name: "waiting_for_moderator", args: one, result: cel.DurationType, cost: mostParticipants, changedBy: present,
		usage: "waiting_for_moderator(conference)", parts: Life | Presence | Labels | OtherFlags, since: waitingSince,
		doc:     "How long participants have been waiting before the conference started, without one whose start_conference_on_enter could start it; 0s otherwise.",
		example: `waiting_for_moderator(conference) < duration("60s")`},
	{name: "waiting_for_moderator", args: withPattern, result: cel.DurationType, changedBy: present, cost: 10 * mostParticipants,
		usage: `waiting_for_moderator(conference, "agent-*")`, parts: Life | Presence | Labels | OtherFlags, since: waitingSince,
		doc:     "How long participants have been there, started or not, without one whose label matches the pattern; 0s otherwise.",
		example: `waiting_for_moderator(conference, "agent-*") >= duration("30s")`},
	{name: "duration", args: one, result: cel.DurationType, changedBy: going, usage: "duration(conference)", parts: Life, since: goingSince,
		doc:     "How long the conference has lasted since its first event, or how long it lasted until it ended.",
		example: `duration(conference) < duration("4h")`},
	{name: "live", args: withPattern, result: cel.ListType(participantType), changedBy: present, cost: 10 * mostParticipants,
		usage: `live(conference, "agent-*")`, parts: Life | Presence | Labels, call: liveLike,
		doc: "The live participants whose label matches the pattern.", example: `size(live(conference, "agent-*")) == 0`},
	{name: "like", member: true, args: []*cel.Type{text, text}, result: flag, cost: projections.MaxText / 10,
		usage: `participant.label.like("agent-*")`, call: like,
		doc:     "Whether a text matches a pattern; `*` in it matches any characters. The whole text has to match, and case matters.",
		example: `conference.friendly_name.like("support-*")`},
	{name: "param", member: true, args: []*cel.Type{eventType, text}, result: text, changedBy: anything,
		usage: `event.param("ReasonParticipantLeft")`, parts: AllParts, call: param,
		doc:     "A parameter of the callback as Twilio sent it; '' if it has none of that name.",
		example: `event.param("ReasonParticipantLeft") == "participant_hung_up"`},
}

// aloneSince runs while exactly one leg is live: from its join, or from the
// leave of the last of the others.
func aloneSince(o *object, _ ...ref.Val) stretch {
	live := o.conference.Live()
	if len(live) != 1 {
		return stretch{}
	}
	return o.lackingSince(live, func(*projections.Participant) bool { return true })
}

// heldSince runs while a live leg is on hold.
func heldSince(o *object, _ ...ref.Val) stretch {
	if !o.live() || !o.participant.Flags.Value.Hold {
		return stretch{}
	}
	if holds := o.conference.Holds(o.participant); len(holds) > 0 && holds[len(holds)-1].Until == 0 {
		return stretch{From: holds[len(holds)-1].From.Time()}
	}
	return stretch{}
}

// waitingSince runs while legs are live and none of them is a moderator. The
// pattern of labels selects moderators, or else start_conference_on_enter.
func waitingSince(o *object, args ...ref.Val) stretch {
	moderates := func(p *projections.Participant) bool { return p.Flags.Value.StartConferenceOnEnter }
	if len(args) > 0 {
		pattern := string(args[0].(types.String))
		moderates = func(p *projections.Participant) bool { return Like(pattern, p.Label.Value) }
	} else if o.conference.StatedStatus() != projections.StatusInit {
		return stretch{}
	}
	live := o.conference.Live()
	for _, p := range live {
		if moderates(p) {
			return stretch{}
		}
	}
	if len(live) == 0 {
		return stretch{}
	}
	return o.lackingSince(live, moderates)
}

// lackingSince returns since when the live legs have been without any leg that meant selects: the
// later of the first join of a live leg and the last leave of a selected one.
func (o *object) lackingSince(live []*projections.Participant, meant func(*projections.Participant) bool) stretch {
	var came, went projections.Instant
	for _, p := range live {
		if at := o.lastStay(p).From; came == 0 || at < came {
			came = at
		}
	}
	for _, p := range o.conference.Participants {
		if !p.Live() && meant(p) {
			went = max(went, o.lastStay(p).Until)
		}
	}
	return stretch{From: max(came, went).Time()}
}

// lastStay is the leg's running stay, or its last one. If a leg came back and
// its join event was lost, the stay begins at the latest event of the leg, so
// that time the leg may have spent elsewhere never counts.
func (o *object) lastStay(p *projections.Participant) projections.Interval {
	stays := o.conference.Intervals(p)
	if len(stays) == 0 {
		return projections.Interval{From: p.Created}
	}
	last := stays[len(stays)-1]
	if p.Live() && last.Until != 0 {
		return projections.Interval{From: p.Last.At}
	}
	return last
}

func goingSince(o *object, _ ...ref.Val) stretch {
	return stretch{From: o.conference.Created.Time(), Until: endOf(o).At.Time()}
}

func liveLike(args ...ref.Val) ref.Val {
	o, pattern := args[0].(*object), string(args[1].(types.String))
	var alike []*projections.Participant
	for _, p := range o.conference.Live() {
		if Like(pattern, p.Label.Value) {
			alike = append(alike, p)
		}
	}
	return o.participants(alike)
}

func like(args ...ref.Val) ref.Val {
	return types.Bool(Like(string(args[1].(types.String)), string(args[0].(types.String))))
}

func param(args ...ref.Val) ref.Val {
	return types.String(args[0].(*object).event.Params.Get(string(args[1].(types.String))))
}

// Like reports whether the whole text matches the pattern, where * matches any
// characters, or none. It scans the text once.
func Like(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}
