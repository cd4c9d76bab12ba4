package condition

import (
	"maps"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gavel/events"
	"gavel/projections"
)

// field is one field of an object.
type field struct {
	name string
	typ  *cel.Type
	doc  string
	// example is a condition that is true for the call described in docs/rules.md.
	example string
	// changedBy are the kinds of events that can change the field when Fold applies them: a
	// condition that reads nothing else need not be evaluated after other events.
	changedBy Kinds
	// parts are the parts of the record that decide the field.
	parts Parts
	// atMost is the maximum number of items of a list, or of bytes of a text, for the bound on the
	// cost of an evaluation; 0 means the maximum of its type.
	atMost uint64
	// mayMiss: a time that is often missing where the object is there.
	mayMiss bool
	get     func(o *object) ref.Val
}

// Which events change what. Every numbered event can name a leg that was not seen before, or that
// the record has as gone: Fold then adds it, and a test compares this table with Fold.
var (
	recordings = KindsOf(events.ConferenceRecordEnd,
		"recording-in-progress", "recording-completed", "recording-absent", "recording-failed")
	ownActions = KindsOf(events.ActionIntent, events.ActionOutcome)
	healed     = KindsOf(events.HealedFact)
	anything   = Known
	stamped    = without(without(Known, ownActions), healed)
	numbered   = without(stamped, recordings)
	present    = numbered.With(healed)
	going      = stamped.With(healed)
	// performed: an API request that only Event Streams reports is of an unknown kind.
	performed = ownActions.With(KindsOf(Unknown))
	// doers: what happened to a kicked leg decides whether the kick can have ended the conference.
	doers   = present.With(ownActions)
	started = KindsOf(events.ConferenceStart)
	ended   = KindsOf(events.ConferenceEnd)
	over    = ended.With(healed)
	// left: a late join can separate an earlier leave from a healed one.
	left = KindsOf(events.ParticipantJoin, events.ParticipantLeave).With(healed)
)

// ChangesParticipants are the kinds of events that can add a live participant
// or end one's presence.
var ChangesParticipants = present

// mostParticipants is how many legs Twilio allows in a conference at a time
// (Twilio, TwiML Voice: <Conference>, maxParticipants).
const mostParticipants = 250

// longestDo is the length of the longest word for an action, update-participant.
const longestDo = 18

// sidLength is the length of every Twilio SID.
const sidLength = 34

var (
	text = cel.StringType
	flag = cel.BoolType
	when = cel.TimestampType
)

// fields are the fields of each type, in the order of the reference page.
var fields = map[string][]field{
	"Conference": {
		{name: "sid", typ: text, atMost: sidLength, changedBy: anything, parts: Life, doc: "ConferenceSid.",
			example: `conference.sid.startsWith("CF")`, get: func(o *object) ref.Val { return types.String(o.conference.ConferenceSid) }},
		{name: "friendly_name", typ: text, changedBy: numbered, parts: Name, doc: "The room's name.",
			example: `conference.friendly_name == "support-7"`,
			get:     func(o *object) ref.Val { return types.String(o.conference.FriendlyName.Value) }},
		{name: "status", typ: text, changedBy: anything, parts: Life | Presence | OtherFlags,
			doc: "`init` until mixing begins, then `in-progress`, then `completed`.", example: `conference.status == "in-progress"`,
			get: status},
		{name: "live", typ: cel.ListType(participantType), changedBy: present, atMost: mostParticipants, parts: Life | Presence,
			doc: "The participants that are in it now; empty after its end.", example: `size(conference.live) == 1`,
			get: func(o *object) ref.Val { return o.of.liveIn(o) }},
		{name: "participants", typ: cel.ListType(participantType), changedBy: present, atMost: projections.MaxParticipants, parts: Presence,
			doc: "All participants that were ever in it.", example: `conference.participants.exists(p, p.label == "agent-ana")`,
			get: func(o *object) ref.Val { return o.participants(o.conference.Joined()) }},
		{name: "recordings", typ: cel.ListType(recordingType), changedBy: recordings, atMost: projections.MaxRecordings, parts: Recordings,
			doc: "Its recordings.", example: `conference.recordings.exists(r, r.status == "in-progress")`,
			get: func(o *object) ref.Val { return o.recordings() }},
		{name: "created", typ: when, changedBy: stamped, parts: Life, doc: "The earliest time of any of its events, by Twilio's clock.",
			example: `conference.created == timestamp("2026-11-02T10:00:00Z")`,
			get:     func(o *object) ref.Val { return moment(o.conference.Created) }},
		{name: "started", typ: when, mayMiss: true, changedBy: started, parts: Life, doc: "When mixing began, if conference-start was received.",
			example: `conference.started - conference.created == duration("30s")`,
			get:     func(o *object) ref.Val { return startOf(o.conference) }},
		{name: "ended", typ: when, mayMiss: true, changedBy: over, parts: Life, doc: "When it ended.", example: `!has(conference.ended)`,
			get: func(o *object) ref.Val { return moment(endOf(o).At) }},
		{name: "reason_conference_ended", typ: text, changedBy: ended, parts: Life,
			doc:     "Why it ended: `conference-ended-via-api`, `participant-with-end-conference-on-exit-left`, and so on, as Twilio reports it.",
			example: `conference.reason_conference_ended == ""`, get: func(o *object) ref.Val { return types.String(endOf(o).Reason) }},
		{name: "call_sid_ending_conference", typ: text, atMost: sidLength, changedBy: ended, parts: Life,
			doc: "The participant that ended it, if Twilio names one.", example: `!has(conference.call_sid_ending_conference)`,
			get: func(o *object) ref.Val { return types.String(endOf(o).CallSid) }},
		{name: "label_ending_conference", typ: text, changedBy: ended, parts: Life, doc: "The label of that participant.",
			example: `conference.label_ending_conference != "customer"`,
			get:     func(o *object) ref.Val { return types.String(endOf(o).Label) }},
		{name: "actions", typ: cel.ListType(actionType), changedBy: performed, atMost: 2 * projections.MaxActions, parts: Actions,
			doc: "What was requested of Twilio about it, by time: through Gavel, by rules and clients, and from outside if Event Streams reports it. " +
				"What Twilio refused, and what Gavel did not send, is not in it.",
			example: `!conference.actions.exists(a, a.do == "end")`, get: func(o *object) ref.Val { return o.actions() }},
		{name: "ended_by", typ: actorType, changedBy: doers, parts: Life | Presence | Actions,
			doc:     "Who ended it; empty while it goes on.",
			example: `conference.ended_by.kind == ""`, get: func(o *object) ref.Val { return o.actor(o.conference.Ender()) }},
	},
	"Action": {
		{name: "do", typ: text, atMost: longestDo, changedBy: performed, parts: Actions,
			doc:     "`end`, `announce`, `add-participant`, `update-participant`, `kick`, `update-recording` or `delete-recording`.",
			example: `conference.actions.exists(a, a.do == "update-participant")`,
			get:     func(o *object) ref.Val { return types.String(o.performed.Do) }},
		{name: "by", typ: actorType, changedBy: performed, parts: Actions, doc: "Who requested it.",
			example: `conference.actions.all(a, a.by.kind == "user")`, get: func(o *object) ref.Val { return o.actor(o.performed.By) }},
		{name: "call_sid", typ: text, atMost: sidLength, changedBy: performed, parts: Actions, doc: "The participant that it was about, if any.",
			example: `conference.actions.exists(a, a.call_sid == participant.call_sid)`,
			get:     func(o *object) ref.Val { return types.String(o.performed.CallSid) }},
		{name: "recording_sid", typ: text, atMost: sidLength, changedBy: performed, parts: Actions, doc: "The recording that it was about, if any.",
			example: `conference.actions.all(a, !has(a.recording_sid))`,
			get:     func(o *object) ref.Val { return types.String(o.performed.RecordingSid) }},
		{name: "at", typ: when, changedBy: performed, parts: Actions,
			doc:     "When Gavel sent it, by Gavel's clock; of a request from outside, Twilio's time.",
			example: `conference.actions.all(a, a.at < event.occurred_at)`,
			get:     func(o *object) ref.Val { return moment(o.performed.At) }},
		{name: "result", typ: text, atMost: longestDo, changedBy: performed, parts: Actions,
			doc:     "`done`, `unknown` if Twilio did not answer, or '' until the answer is known.",
			example: `conference.actions.all(a, a.result == "done")`,
			get:     func(o *object) ref.Val { return types.String(o.performed.Result) }},
	},
	"Actor": {
		{name: "kind", typ: text, atMost: longestDo, changedBy: performed, parts: Actions,
			doc: "`rule`; `user`, a client of Gavel; `api`, a client of Twilio's API, not through Gavel; `participant`, one that hung up; " +
				"or `unknown`.",
			example: `conference.actions.exists(a, a.by.kind == "user")`,
			get:     func(o *object) ref.Val { return types.String(o.performed.By.Kind) }},
		{name: "name", typ: text, changedBy: performed, parts: Actions, doc: "The name of the rule or of the API key, or the label of the participant, if it has one.",
			example: `conference.actions.exists(a, a.by.name == "kate")`,
			get:     func(o *object) ref.Val { return types.String(o.performed.By.Name) }},
		{name: "sid", typ: text, atMost: sidLength, changedBy: performed, parts: Actions,
			doc:     "SID of the API key, of the account if its auth token was used, or of the participant's call; '' of others.",
			example: `conference.actions.exists(a, a.by.sid.startsWith("SK"))`,
			get:     func(o *object) ref.Val { return types.String(o.performed.By.Sid) }},
		{name: "confirmed", typ: flag, changedBy: performed, parts: Actions,
			doc:     "Whether Twilio's answer, or its own report, shows it; false while the answer is missing.",
			example: `conference.actions.all(a, a.by.confirmed)`,
			get:     func(o *object) ref.Val { return types.Bool(o.performed.By.Confirmed) }},
	},
	"Participant": {
		{name: "call_sid", typ: text, atMost: sidLength, changedBy: present, parts: Presence, doc: "CallSid.",
			example: `participant.call_sid.startsWith("CA")`, get: func(o *object) ref.Val { return types.String(o.participant.CallSid) }},
		{name: "label", typ: text, changedBy: numbered, parts: Labels, doc: "Its label, if it has one.",
			example: `participant.label == "customer"`, get: func(o *object) ref.Val { return types.String(o.participant.Label.Value) }},
		{name: "live", typ: flag, changedBy: present, parts: Life | Presence, doc: "Whether it is in the conference now.",
			example: `participant.live`, get: func(o *object) ref.Val { return types.Bool(o.live()) }},
		{name: "muted", typ: flag, changedBy: present, parts: Mutes, doc: "Whether it is muted.", example: `!participant.muted`,
			get: func(o *object) ref.Val { return types.Bool(o.participant.Flags.Value.Muted) }},
		{name: "hold", typ: flag, changedBy: present, parts: Holds, doc: "Whether it is on hold.", example: `participant.hold`,
			get: func(o *object) ref.Val { return types.Bool(o.participant.Flags.Value.Hold) }},
		{name: "coaching", typ: flag, changedBy: present, parts: OtherFlags, doc: "Whether it coaches another participant.",
			example: `!conference.live.exists(p, p.coaching)`,
			get:     func(o *object) ref.Val { return types.Bool(o.participant.Flags.Value.Coaching) }},
		{name: "end_conference_on_exit", typ: flag, changedBy: present, parts: OtherFlags,
			doc: "Whether the conference ends when it leaves.", example: `participant.end_conference_on_exit`,
			get: func(o *object) ref.Val { return types.Bool(o.participant.Flags.Value.EndConferenceOnExit) }},
		{name: "start_conference_on_enter", typ: flag, changedBy: present, parts: OtherFlags,
			doc:     "Whether the conference may start when it has joined.",
			example: `conference.participants.exists(p, p.start_conference_on_enter)`,
			get:     func(o *object) ref.Val { return types.Bool(o.participant.Flags.Value.StartConferenceOnEnter) }},
		{name: "joined", typ: when, changedBy: present, parts: Life | Presence, doc: "When it joined, the last time.",
			example: `participant.joined == conference.created`, get: func(o *object) ref.Val { return types.Timestamp{Time: o.joined()} }},
		{name: "left", typ: when, mayMiss: true, changedBy: left, parts: Presence,
			doc:     "When it left, the last time; it stays set if the participant comes back.",
			example: `conference.participants.exists(p, has(p.left) && !p.live)`,
			get:     func(o *object) ref.Val { return moment(leavingOf(o).At) }},
		{name: "reason_participant_left", typ: text, changedBy: left, parts: Presence,
			doc:     "Why it left: `participant_hung_up`, `participant_updated_via_api`, and so on, as Twilio reports it.",
			example: `conference.participants.exists(p, p.reason_participant_left == "participant_hung_up")`,
			get:     func(o *object) ref.Val { return types.String(leavingOf(o).Reason) }},
		{name: "participant_call_status", typ: text, changedBy: left, parts: Presence, doc: "The status of its call when it left.",
			example: `conference.participants.exists(p, p.participant_call_status == "completed")`,
			get:     func(o *object) ref.Val { return types.String(leavingOf(o).CallStatus) }},
	},
	"Recording": {
		{name: "sid", typ: text, atMost: sidLength, changedBy: recordings, parts: AllParts, doc: "RecordingSid.",
			example: `conference.recordings.all(r, r.sid.startsWith("RE"))`,
			get:     func(o *object) ref.Val { return types.String(o.recording.Sid) }},
		{name: "status", typ: text, changedBy: recordings, parts: AllParts,
			doc:     "Its progress: `in-progress`, `completed`, `absent`, `failed`.",
			example: `!conference.recordings.exists(r, r.status == "failed")`,
			get:     func(o *object) ref.Val { return types.String(o.recording.Status()) }},
		{name: "duration", typ: cel.IntType, changedBy: recordings, parts: AllParts,
			doc: "Its length in seconds; -1 until Twilio reports it.", example: `conference.recordings.exists(r, r.duration == -1)`,
			get: func(o *object) ref.Val { return types.Int(o.recording.Duration) }},
		{name: "error_code", typ: text, changedBy: recordings, parts: AllParts, doc: "Twilio's error code, if any.",
			example: `!conference.recordings.exists(r, has(r.error_code))`,
			get:     func(o *object) ref.Val { return types.String(o.recording.ErrorCode) }},
	},
	"Event": {
		{name: "kind", typ: text, changedBy: anything, parts: AllParts,
			doc: "What happened, as Twilio spells it; docs/events.md lists the kinds.", example: `event.kind == "participant-leave"`,
			get: func(o *object) ref.Val { return types.String(o.event.Kind) }},
		{name: "call_sid", typ: text, atMost: sidLength, changedBy: anything, parts: AllParts, doc: "The participant it is about, if any.",
			example: `event.call_sid != participant.call_sid`, get: func(o *object) ref.Val { return types.String(o.event.CallSid) }},
		{name: "recording_sid", typ: text, atMost: sidLength, changedBy: anything, parts: AllParts,
			doc: "The recording it is about, if any.", example: `!has(event.recording_sid)`,
			get: func(o *object) ref.Val { return types.String(o.event.RecordingSid) }},
		{name: "sequence_number", typ: cel.IntType, changedBy: anything, parts: AllParts,
			doc: "Twilio's SequenceNumber; -1 if the event has none.", example: `event.sequence_number == 5`,
			get: func(o *object) ref.Val { return types.Int(o.event.SequenceNumber) }},
		{name: "occurred_at", typ: when, mayMiss: true, changedBy: anything, parts: AllParts, doc: "Twilio's Timestamp.",
			example: `event.occurred_at == timestamp("2026-11-02T10:02:30Z")`,
			get:     func(o *object) ref.Val { return types.Timestamp{Time: o.event.OccurredAt} }},
		{name: "received_at", typ: when, changedBy: anything, parts: AllParts, doc: "Our clock when it arrived.",
			example: `event.received_at - event.occurred_at == duration("0.5s")`,
			get:     func(o *object) ref.Val { return types.Timestamp{Time: o.event.ReceivedAt} }},
		{name: "query", typ: text, changedBy: anything, parts: AllParts, doc: "The query string of the callback's URL.",
			example: `event.query == "queue=support"`, get: func(o *object) ref.Val { return types.String(o.event.Query) }},
	},
}

func without(all, less Kinds) Kinds {
	rest := maps.Clone(all)
	maps.DeleteFunc(rest, func(k events.Kind, _ struct{}) bool { _, out := less[k]; return out })
	return rest
}

func status(o *object) ref.Val {
	if o.conference == noConference {
		return types.String("")
	}
	return types.String(o.conference.StatedStatus())
}

func moment(at projections.Instant) ref.Val { return types.Timestamp{Time: at.Time()} }

func startOf(c *projections.Conference) ref.Val {
	if c.Start == nil {
		return moment(0)
	}
	return moment(c.Start.At)
}

func endOf(o *object) projections.Ending {
	if o.conference.End == nil {
		return projections.Ending{}
	}
	return *o.conference.End
}

func leavingOf(o *object) projections.Leaving {
	if left := o.participant.Leaving(); left != nil {
		return *left
	}
	return projections.Leaving{}
}

// of returns the field's value. For a participant as it was before the event,
// it returns what was kept.
func (f *field) of(o *object) ref.Val {
	if o.of.fields == nil {
		return f.get(o)
	}
	if v, kept := o.of.fields[f.name]; kept {
		return v
	}
	return unknown
}

// has reports whether a text is not empty, or a time is set. All other fields are always present.
func (f *field) has(o *object) bool {
	switch v := f.of(o).(type) {
	case types.String:
		return v != ""
	case types.Timestamp:
		return !v.IsZero()
	}
	return true
}
