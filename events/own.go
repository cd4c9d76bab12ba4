package events

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/oklog/ulid/v2"
)

// ownPrefix starts the names of Gavel's own events; Twilio's must not use it.
const ownPrefix = "gavel-"

// NewULID returns the id of an entry of our own. It is made before the first
// append, so that a repeated append is the same fact.
func NewULID() string { return ulid.Make().String() }

// Names of parameters of our own entries that are read in several places.
const (
	ownID        = "Id"
	ownActorRule = "ActorRule"
)

// ownParam is one parameter of an entry of our own.
type ownParam struct {
	name string
	form *ownForm // nil for any text
	// most bounds a text in bytes, and a number.
	most int
	// beside returns why a value contradicts other parameters, or "".
	beside func(v string, all Params) string
	// must and optional decide on an empty or absent value: "is missing", or no
	// fault. Without either the form decides.
	must, optional bool
	// noRule marks a parameter of actors that are not rules.
	noRule bool
	// written by a person: characters that cannot be stored are left out.
	written bool
}

// The parameters that several kinds have.
var (
	idParam         = ownParam{name: ownID, form: ownULID}
	decisionIDParam = ownParam{name: ownID, form: ownDecisionID}
	accountParam    = ownParam{name: parameters[pAccountSid].name, form: ownSid("AC")}
	conferenceParam = ownParam{name: parameters[pConferenceSid].name, form: ownSid("CF")}
	callParam       = ownParam{name: parameters[pCallSid].name, form: ownSid("CA"), optional: true}
	recordingParam  = ownParam{name: parameters[pRecordingSid].name, form: ownSid("RE"), optional: true}
	coachParam      = ownParam{name: coachName, form: ownSid("CA"), optional: true}
	askedAtParam    = ownParam{name: "AskedAt", form: ownMoment}
	// milliParam is the part of AskedAt below a second. A build that does not know it ignores it.
	milliParam  = ownParam{name: "AskedMilli", form: ownNumber, most: 999}
	actorParams = []ownParam{
		{name: "ActorSid", form: ownSid("SK", "AC"), noRule: true},
		{name: "ActorName", most: MaxActorName, noRule: true, written: true},
		{name: ownActorRule, form: ownRuleName, most: maxRuleName, optional: true},
	}
)

// ownKinds has the parameters of every kind of entry of our own, in the order in
// which they are written and checked. Each entry begins with its Event. A
// parameter that is not listed is kept and ignored.
var ownKinds = map[Kind][]ownParam{
	SpeechDropped: {idParam, accountParam, conferenceParam, {name: "SequenceNumbers", form: ownRanges}},
	Wake:          {decisionIDParam, accountParam, conferenceParam},
	Reread:        {decisionIDParam, accountParam, conferenceParam},
	RulesLoaded: {
		idParam, {name: "Version", form: ownFixed, most: maxVersion, must: true},
		{name: "Engine", form: ownNumber, most: maxNumber},
	},
	RuleMatch: {
		decisionIDParam, accountParam,
		{name: "Rule", form: ownRuleName, most: maxRuleName, must: true},
		{name: "Match", most: maxMatch},
	},
	Exempted: slices.Concat([]ownParam{
		idParam, accountParam, conferenceParam,
		{name: "Rule", form: ownRuleName, most: maxRuleName, optional: true},
		{name: "Until", form: ownMoment},
		{name: "Reason", most: MaxReason, written: true},
	}, actorParams),
	NameExempted: slices.Concat([]ownParam{
		idParam, accountParam, {name: parameters[pFriendlyName].name, most: maxRoom, must: true},
		{name: "Rule", form: ownRuleName, most: maxRuleName, optional: true},
		{name: "Until", form: ownMoment},
		{name: "Reason", most: MaxReason, written: true},
	}, actorParams),
	RuleReset: slices.Concat([]ownParam{
		idParam, {name: "Rule", form: ownRuleName, most: maxRuleName, must: true},
		{name: "Reason", most: MaxReason, written: true},
	}, actorParams),
	HealedFact: {
		idParam, accountParam, conferenceParam, {name: "Fact", form: ownHealed},
		{name: callParam.name, form: callParam.form, optional: true, beside: healedCallFault},
		{name: "Flags", form: ownLegFlags, most: maxFlags, optional: true},
		{name: "Behind", form: ownNumber, most: maxNumber}, askedAtParam, coachParam, milliParam,
	},
	ConferenceFetched: {
		idParam, accountParam, conferenceParam, {name: "Region", form: ownFixed, most: maxWordKept},
		{name: fetchedReason, form: ownFixed, most: maxWordKept}, {name: fetchedCall, form: callParam.form, optional: true}, askedAtParam,
	},
	ParticipantDialled: {
		idParam, accountParam, conferenceParam, {name: callParam.name, form: callParam.form},
		{name: "Status", form: ownFixed, most: maxWordKept}, {name: "Flags", form: ownLegFlags, most: maxFlags, optional: true},
		{name: labelName, most: maxLabel, written: true}, coachParam, {name: "Timeout", form: ownNumber, most: maxTimeout}, askedAtParam,
		milliParam, {name: parameters[pFriendlyName].name, most: maxRoom, written: true},
	},
	ActionIntent:  intentParams,
	ActionOutcome: slices.Concat(intentParams, outcomeParams),
}

// The outcome of an action repeats its intent.
var (
	intentParams = slices.Concat([]ownParam{
		decisionIDParam, accountParam, {name: conferenceParam.name, form: conferenceParam.form, optional: true}, callParam, recordingParam,
		{name: "Do", form: ownWrite},
		{name: "Asked", form: ownAskedFor, most: maxAsked},
	}, actorParams, []ownParam{{name: "Seen", form: ownFixed, most: maxSeen}, askedAtParam})
	outcomeParams = []ownParam{
		{name: "Result", form: ownEnd},
		{name: "Status", form: ownNumber, most: maxStatus},
		{name: "Code", form: ownNumber, most: maxNumber},
		{name: "Why", form: ownFixed, most: maxWhy},
		{name: "AnsweredAt", form: ownMoment},
	}
)

// newOwn returns an entry of our own; values are those of its parameters, in their
// order. Empty values are left out.
func newOwn(kind Kind, at time.Time, values ...string) Entry {
	var form strings.Builder
	form.WriteString("Event=" + string(kind))
	for i, p := range ownKinds[kind] {
		v := values[i]
		if p.written {
			v = printable(v, p.most)
		}
		if v != "" {
			form.WriteString("&" + p.name + "=" + url.QueryEscape(v))
		}
	}
	return Entry{Source: SourceGavel, ReceivedAt: at, Form: form.String()}
}

// readOwn fills the event from an entry of Gavel's own.
func (e *Event) readOwn() error {
	if e.Params.doubled() {
		return &FormError{Field: unknownField, Reason: "occurs twice"}
	}
	e.Kind = Kind(e.Params.Get("Event"))
	params, known := ownKinds[e.Kind]
	if !known {
		return &FormError{Field: "Event", Reason: "is not an event of Gavel's own"}
	}
	if err := e.Params.check(params, e); err != nil {
		return err
	}
	if e.ID = e.Params.Get(ownID); e.Kind != SpeechDropped {
		// The two entries of one action share their Id, and each is a fact.
		e.ID = strings.TrimPrefix(string(e.Kind), ownPrefix) + "-" + e.ID
	}
	return nil
}

// check returns the first fault of a parameter, a *FormError, or nil. It sets the
// SIDs of an event, if there is one, to the parameters' values.
func (p Params) check(params []ownParam, e *Event) error {
	next := 1 // behind Event: most entries have their parameters in the table's order
	for i := range params {
		own := &params[i]
		v, there := "", next < len(p) && p[next].Name == own.name
		if there {
			v = p[next].Value
			next++
		} else {
			v, there = p.Lookup(own.name)
		}
		if fault := own.fault(v, there, p); fault != "" {
			return &FormError{Field: own.name, Reason: fault}
		}
		if e != nil {
			e.setSid(own.name, v)
		}
	}
	return nil
}

// setSid sets the event's SID that the parameter holds, if it holds one.
func (e *Event) setSid(param, v string) {
	switch param {
	case accountParam.name:
		e.AccountSid = CanonicalSid(v)
	case conferenceParam.name:
		e.ConferenceSid = CanonicalSid(v)
	case callParam.name:
		e.CallSid = CanonicalSid(v)
	case recordingParam.name:
		e.RecordingSid = CanonicalSid(v)
	}
}

// fault returns why a value is out of form, or "".
func (p *ownParam) fault(v string, there bool, all Params) string {
	switch {
	case v == "" && p.must:
		return "is missing"
	case p.form == ownNumber:
		if n, ok := parseNumber(v); there && (!ok || n > int64(p.most)) {
			return ownNumber.fault
		}
	case p.form == ownRanges:
		_, fault := parseRanges(v)
		return fault
	case v == "" && p.optional, p.noRule && all.Get(ownActorRule) != "":
	case p.most > 0 && len(v) > p.most:
		return "is too long"
	case p.form != nil && !p.form.ok(v):
		return p.form.fault
	}
	if p.beside != nil {
		return p.beside(v, all)
	}
	return ""
}

func (p Params) doubled() bool {
	for i := range p {
		if _, before := p[:i].Lookup(p[i].Name); before {
			return true
		}
	}
	return false
}

// sid returns a checked SID in its canonical form.
func (p Params) sid(name string) string { return CanonicalSid(p.Get(name)) }

func (p Params) key() Key { return Key{p.sid(accountParam.name), p.sid(conferenceParam.name)} }

// actor returns the actor: a key, an account, or a rule.
func (p Params) actor() Actor {
	if rule := p.Get(ownActorRule); rule != "" {
		return Actor{Rule: rule}
	}
	return Actor{Sid: p.sid("ActorSid"), Name: p.Get("ActorName")}
}

// moment returns a checked time.
func (p Params) moment(name string) time.Time {
	t, _ := time.Parse(time.RFC3339, p.Get(name))
	return t.UTC()
}

// asked returns the checked time of AskedAt and AskedMilli.
func (p Params) asked() time.Time {
	return p.moment(askedAtParam.name).Add(time.Duration(p.number(milliParam.name)) * time.Millisecond)
}

// number returns a checked number; 0 if it is missing.
func (p Params) number(name string) int {
	n, _ := parseNumber(p.Get(name))
	return int(n)
}

func wholeSeconds(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// milli returns the part of a time below a second, in milliseconds; empty for 0.
func milli(t time.Time) string {
	if ms := t.Nanosecond() / int(time.Millisecond); ms > 0 {
		return strconv.Itoa(ms)
	}
	return ""
}

// printable returns the part of a text that can be stored, at most that many
// bytes: a write must not fail because of a person's name.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}
