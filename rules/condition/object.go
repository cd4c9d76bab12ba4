package condition

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gavel/events"
	"gavel/projections"
)

// The types of what conditions read, by the names that faults show.
var (
	conferenceType  = cel.ObjectType("Conference")
	participantType = cel.ObjectType("Participant")
	recordingType   = cel.ObjectType("Recording")
	actionType      = cel.ObjectType("Action")
	actorType       = cel.ObjectType("Actor")
	eventType       = cel.ObjectType("Event")
)

// object is a value of one of these types: a view of the record, without a copy. Besides the value
// that its type names, it has the conference that the value belongs to.
type object struct {
	of          *Reading
	typ         *cel.Type
	conference  *projections.Conference
	participant *projections.Participant
	recording   *projections.Recording
	event       *events.Event
	// performed is an action; of an actor, only By counts.
	performed *projections.Performed
}

// Missing objects are empty.
var (
	noConference  = &projections.Conference{}
	noParticipant = &projections.Participant{}
	noEvent       = &events.Event{SequenceNumber: events.NoSequence}
)

func (r *Reading) conference(c *projections.Conference) *object {
	if c == nil {
		c = noConference
	}
	return &object{of: r, typ: conferenceType, conference: c}
}

func (r *Reading) participant(c *projections.Conference, p *projections.Participant) *object {
	if c == nil {
		c = noConference
	}
	if p == nil {
		p = noParticipant
	}
	return &object{of: r, typ: participantType, conference: c, participant: p}
}

func (r *Reading) event() *object {
	o := &object{of: r, typ: eventType, event: r.vars.Event}
	if o.event == nil {
		o.event = noEvent
	}
	return o
}

// participants returns a list of legs of the object's conference.
func (o *object) participants(legs []*projections.Participant) ref.Val {
	all := make([]ref.Val, len(legs))
	for i, p := range legs {
		all[i] = o.of.participant(o.conference, p)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, all)
}

func (o *object) recordings() ref.Val {
	all := make([]ref.Val, len(o.conference.Recordings))
	for i, r := range o.conference.Recordings {
		all[i] = &object{of: o.of, typ: recordingType, conference: o.conference, recording: r}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, all)
}

func (o *object) actions() ref.Val {
	performed := o.conference.Performed()
	all := make([]ref.Val, len(performed))
	for i := range performed {
		all[i] = &object{of: o.of, typ: actionType, conference: o.conference, performed: &performed[i]}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, all)
}

// actor is who did something, or the empty actor.
func (o *object) actor(by projections.Doer) ref.Val {
	return &object{of: o.of, typ: actorType, conference: o.conference, performed: &projections.Performed{By: by}}
}

// live reports whether a leg is in the conference now.
func (o *object) live() bool { return o.conference.End == nil && o.participant.Live() }

// joined is when the leg's running stay began, or its last one; zero if it has none.
func (o *object) joined() time.Time {
	stays := o.conference.Intervals(o.participant)
	if len(stays) == 0 {
		return time.Time{}
	}
	return stays[len(stays)-1].From.Time()
}

// ConvertToNative is part of ref.Val. It always fails: nothing needs it,
// because fields are read directly.
func (o *object) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("cannot convert a %s to %v", o.typ.TypeName(), to)
}

// ConvertToType is part of ref.Val: an object is of its own type only.
func (o *object) ConvertToType(to ref.Type) ref.Val {
	if to.TypeName() == types.TypeType.TypeName() {
		return o.typ
	}
	return types.NewErr("cannot convert a %s to %s", o.typ.TypeName(), to.TypeName())
}

// Equal is part of ref.Val: two views of the same thing are equal.
func (o *object) Equal(other ref.Val) ref.Val {
	b, ok := other.(*object)
	return types.Bool(ok && o.typ == b.typ && o.key() == b.key())
}

// key identifies a thing among those of its type in a conference.
func (o *object) key() string {
	switch o.typ {
	case participantType:
		return o.participant.CallSid
	case recordingType:
		return o.recording.Sid + o.recording.URL
	case eventType:
		return o.event.ID
	case actionType:
		return o.performed.ID
	case actorType:
		by := o.performed.By
		return strings.Join([]string{string(by.Kind), by.Sid, by.Name}, " ")
	}
	return o.conference.AccountSid + o.conference.ConferenceSid
}

// Type is part of ref.Val.
func (o *object) Type() ref.Type { return o.typ }

// Value is part of ref.Val; the table of fields reads from it.
func (o *object) Value() any { return o }
