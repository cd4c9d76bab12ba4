package views

import (
	"time"

	"gavel/events"
	"gavel/projections"
)

// staleAfter is how long a conference may have no event before it is shown as
// stale: by default Twilio ends a call leg after 4 hours (Call resource,
// TimeLimit), so an event should have arrived by then.
const staleAfter = 4 * time.Hour

// Conference is one line of a list.
type Conference struct {
	AccountSid   string     `json:"account_sid"`
	Sid          string     `json:"sid"`
	FriendlyName string     `json:"friendly_name"`
	Status       string     `json:"status" enum:"init,in-progress,completed"`
	Inferred     bool       `json:"inferred,omitempty" doc:"It is completed because all participants have left; Gavel did not receive its end"`
	Created      *time.Time `json:"created,omitempty" doc:"Time of the first event, on Twilio's clock"`
	Updated      *time.Time `json:"updated,omitempty" doc:"Time of the last event, on Twilio's clock"`
	Started      *time.Time `json:"started,omitempty" doc:"When mixing began"`
	Ended        *time.Time `json:"ended,omitempty"`
	Reason       string     `json:"reason_conference_ended,omitempty" doc:"Twilio's ReasonConferenceEnded"`
	EndingCall   string     `json:"call_sid_ending_conference,omitempty"`
	EndedBy      string     `json:"ended_by,omitempty" doc:"The actor that ended it through Gavel, probably if the outcome is unknown; otherwise label or CallSid of the leg that ended it"`
	Connected    int        `json:"connected" doc:"Number of participants that are in it now"`
	Joined       int        `json:"joined" doc:"Number of participants that were ever in it"`
	Region       string     `json:"region,omitempty" doc:"Where Twilio mixed the audio; fetched once after the end"`
	StaleSince   *time.Time `json:"stale_since,omitempty" doc:"Time of the last event, if it has not ended and had no event for hours"`
	Why          string     `json:"why" doc:"Its state, or why it ended, in one sentence"`
}

// Record is everything about one conference.
type Record struct {
	Conference
	ReasonText          string        `json:"reason_text,omitempty" doc:"Twilio's Reason, free text"`
	Participants        []Participant `json:"participants"`
	Dialling            []Dialled     `json:"dialling,omitempty" doc:"The legs that Twilio is calling because a client requested it through Gavel"`
	Recordings          []Recording   `json:"recordings"`
	Actions             []Action      `json:"actions" doc:"The writes to Twilio through Gavel, in the order of the requests"`
	Requests            []Request     `json:"requests,omitempty" doc:"Calls of Twilio's API that Event Streams reported, Gavel's own among them"`
	Gaps                [][2]int64    `json:"gaps" doc:"Missing sequence numbers, as inclusive ranges: a hint at lost callbacks"`
	AnnouncementsEnded  int64         `json:"announcements_ended"`
	AnnouncementsFailed int64         `json:"announcements_failed"`
	Undated             []int64       `json:"undated,omitempty" doc:"Sequence numbers of events without a readable Timestamp: they have the time of their receipt, and start no action of a rule"`
	Truncated           bool          `json:"truncated" doc:"It exceeded a bound, so that the record is incomplete"`
}

// Participant is one leg that was ever in a conference.
type Participant struct {
	CallSid                string     `json:"call_sid"`
	Label                  string     `json:"label,omitempty"`
	Connected              bool       `json:"connected"`
	Muted                  bool       `json:"muted"`
	Hold                   bool       `json:"hold"`
	Coaching               bool       `json:"coaching"`
	CallSidToCoach         string     `json:"call_sid_to_coach,omitempty" doc:"The participant that it coaches, if Twilio's API stated it since the last change"`
	StartConferenceOnEnter bool       `json:"start_conference_on_enter"`
	EndConferenceOnExit    bool       `json:"end_conference_on_exit"`
	Intervals              []Interval `json:"intervals" doc:"When it was in the conference"`
	PresentSeconds         int64      `json:"present_seconds"`
	HeldSeconds            int64      `json:"held_seconds"`
	MutedSeconds           int64      `json:"muted_seconds"`
	ReasonLeft             string     `json:"reason_participant_left,omitempty"`
	CallStatus             string     `json:"participant_call_status,omitempty" doc:"Status of its call when it left"`
}

// Dialled is a leg that is being called into a conference.
type Dialled struct {
	CallSid string     `json:"call_sid"`
	Label   string     `json:"label,omitempty"`
	Status  string     `json:"status,omitempty" doc:"As Twilio answered it"`
	Since   *time.Time `json:"since" doc:"On Gavel's clock"`
	Until   *time.Time `json:"until" doc:"When the call ends unless it is answered"`
}

// Interval is a stretch of presence; left is absent while it lasts.
type Interval struct {
	Joined *time.Time `json:"joined,omitempty"`
	Left   *time.Time `json:"left,omitempty"`
}

// Recording is one recording of the mix.
type Recording struct {
	Sid       string     `json:"sid,omitempty"`
	URL       string     `json:"url,omitempty"`
	Status    string     `json:"status"`
	Started   *time.Time `json:"started,omitempty"`
	Seconds   *int64     `json:"seconds,omitempty" doc:"Length, once reported"`
	Channels  int64      `json:"channels,omitempty"`
	ErrorCode string     `json:"error_code,omitempty"`
}

// Action is one write to Twilio through Gavel, or an action of a rule. Its times are
// on Gavel's clock.
type Action struct {
	ID           string     `json:"id"`
	Do           events.Do  `json:"do" enum:"end,announce,add-participant,update-participant,kick,update-recording,delete-recording,publish,webhook"`
	ActorSid     string     `json:"actor_sid,omitempty" doc:"API key, or the account if its own auth token was used; absent for a rule"`
	ActorName    string     `json:"actor_name,omitempty"`
	ActorRule    string     `json:"actor_rule,omitempty" doc:"The rule; its decision has the same id"`
	CallSid      string     `json:"call_sid,omitempty"`
	RecordingSid string     `json:"recording_sid,omitempty"`
	Asked        string     `json:"asked,omitempty" doc:"The parameters of fixed form, as a form"`
	AskedAt      *time.Time `json:"asked_at"`
	Answer       *Answer    `json:"answer,omitempty" doc:"Absent until Twilio answered, or if a crash lost the answer"`
	Words        string     `json:"words" doc:"The actor, the request and its outcome, in words"`
}

// Request is a call of Twilio's API that Event Streams reported.
type Request struct {
	EventSid string      `json:"event_sid"`
	Kind     events.Kind `json:"kind"`
	CallSid  string      `json:"call_sid,omitempty"`
	Asked    string      `json:"asked,omitempty" doc:"The parameters of fixed form, as a form"`
	Status   int64       `json:"status,omitempty" doc:"HTTP status of Twilio's answer"`
	At       *time.Time  `json:"at"`
}

// Answer is the outcome of an action.
type Answer struct {
	Result events.Result `json:"result" enum:"done,failed,unknown,stale,expired,lapsed,tripped,skipped"`
	Status int           `json:"status,omitempty" doc:"HTTP status; absent without an answer"`
	Code   int           `json:"code,omitempty" doc:"Twilio's error code"`
	Why    string        `json:"why,omitempty" doc:"Detail of the result, one word"`
	At     *time.Time    `json:"at"`
}

// NewConference returns the view of a conference at the moment now.
func NewConference(c *projections.Conference, now time.Time) Conference {
	v := Conference{
		AccountSid:   c.AccountSid,
		Sid:          c.ConferenceSid,
		FriendlyName: c.FriendlyName.Value,
		Status:       c.Status(),
		Created:      timeOf(c.Created),
		Updated:      timeOf(c.Updated),
		EndedBy:      projections.EndedBy(c),
		Connected:    len(c.Present()),
		Joined:       len(c.Joined()),
		Region:       c.Region(),
		Why:          projections.Why(c),
	}
	if c.Start != nil {
		v.Started = timeOf(c.Start.At)
	}
	if end := c.Ended(); end != nil {
		v.Ended, v.Reason, v.EndingCall = timeOf(end.At), end.Reason, end.CallSid
	}
	if v.Inferred = c.EndInferred(); c.End == nil && !v.Inferred && now.Sub(c.Updated.Time()) > staleAfter {
		v.StaleSince = v.Updated
	}
	return v
}

// NewRecord returns the view of a whole record at the moment now.
func NewRecord(c *projections.Conference, now time.Time) Record {
	v := Record{
		Conference:          NewConference(c, now),
		Participants:        make([]Participant, 0, len(c.Participants)),
		Recordings:          make([]Recording, 0, len(c.Recordings)),
		Actions:             make([]Action, 0, len(c.Actions)),
		Gaps:                append([][2]int64{}, c.Gaps()...),
		AnnouncementsEnded:  c.AnnouncementsEnded.Count(),
		AnnouncementsFailed: c.AnnouncementsFailed.Count(),
		Truncated:           c.Truncated,
	}
	if c.End != nil {
		v.ReasonText = c.End.Text
	}
	for _, r := range c.Requests {
		v.Requests = append(v.Requests, Request{r.ID, r.Kind, r.CallSid, r.Asked, r.Status, timeOf(r.At)})
	}
	for _, u := range c.Undated {
		v.Undated = append(v.Undated, u.Seq)
	}
	for _, p := range c.Participants {
		v.Participants = append(v.Participants, newParticipant(c, p, now))
	}
	for _, l := range c.Dialling(projections.At(now)) {
		v.Dialling = append(v.Dialling, Dialled{l.CallSid, l.Label, l.Status, timeOf(l.At), timeOf(l.Until)})
	}
	for _, r := range c.Recordings {
		v.Recordings = append(v.Recordings, newRecording(r))
	}
	for _, a := range c.Actions {
		v.Actions = append(v.Actions, newAction(a))
	}
	return v
}

func newParticipant(c *projections.Conference, p *projections.Participant, now time.Time) Participant {
	flags, until := p.Flags.Value, projections.At(now)
	v := Participant{
		CallSid:                p.CallSid,
		Label:                  p.Label.Value,
		Connected:              c.End == nil && p.Live() && !c.EndInferred(),
		Muted:                  flags.Muted,
		Hold:                   flags.Hold,
		Coaching:               flags.Coaching,
		CallSidToCoach:         p.Coached(),
		StartConferenceOnEnter: flags.StartConferenceOnEnter,
		EndConferenceOnExit:    flags.EndConferenceOnExit,
		Intervals:              []Interval{},
		PresentSeconds:         c.PresentSeconds(p, until),
		HeldSeconds:            c.HeldSeconds(p, until),
		MutedSeconds:           c.MutedSeconds(p, until),
	}
	for _, i := range c.Intervals(p) {
		v.Intervals = append(v.Intervals, Interval{timeOf(i.From), timeOf(i.Until)})
	}
	if left := p.Leaving(); left != nil {
		v.ReasonLeft, v.CallStatus = left.Reason, left.CallStatus
	}
	return v
}

func newRecording(r *projections.Recording) Recording {
	v := Recording{
		Sid:       r.ResourceSid(),
		URL:       r.URL,
		Status:    r.Status(),
		Started:   timeOf(r.StartedAt),
		Channels:  r.Channels,
		ErrorCode: r.ErrorCode,
	}
	if r.Duration >= 0 {
		v.Seconds = &r.Duration
	}
	return v
}

func newAction(a *projections.ActionRecord) Action {
	v := Action{
		ID:           a.ID,
		Do:           a.Do,
		ActorSid:     a.Actor.Sid,
		ActorName:    a.Actor.Name,
		ActorRule:    a.Actor.Rule,
		CallSid:      a.CallSid,
		RecordingSid: a.RecordingSid,
		Asked:        a.Asked,
		AskedAt:      timeOf(a.At),
		Words:        a.Words() + "; no outcome is known",
	}
	if o := a.Outcome; o != nil {
		v.Answer = newAnswer(o)
		v.Words = a.Words() + "; " + o.Words(a.Do)
	}
	return v
}

func newAnswer(o *projections.ActionResult) *Answer {
	return &Answer{Result: o.Result, Status: o.Status, Code: o.Code, Why: o.Why, At: timeOf(o.At)}
}

// timeOf returns nil for the zero instant.
func timeOf(i projections.Instant) *time.Time {
	if i == 0 {
		return nil
	}
	t := i.Time()
	return &t
}
