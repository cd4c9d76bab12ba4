package projections

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gavel/events"
)

// APIRequest is a call of Twilio's API that Event Streams reported: Gavel's own, or another
// program's. Twilio does not state whose key it used.
type APIRequest struct {
	// ID is the eventSid.
	ID      string      `json:"id"`
	Kind    events.Kind `json:"kind"`
	CallSid string      `json:"call_sid,omitempty"`
	// Asked holds the parameters that have a fixed form, form-encoded.
	Asked string `json:"asked,omitempty"`
	// Status is the HTTP status of Twilio's answer, or 0.
	Status int64   `json:"status,omitempty"`
	At     Instant `json:"at"`
}

// LegSummary is what Twilio's summary of a leg states: its first join and its last
// leave. It fills what no callback stated.
type LegSummary struct {
	Joined Instant `json:"joined,omitempty"`
	Left   Instant `json:"left,omitempty"`
}

// behindAll is the place of a summary among numbered events: it is made after the end.
const behindAll = 1<<31 - 1

// foldStreamed folds an event that only Event Streams reports. Its id is Twilio's, so a second copy
// is a double. An API call does not change the conference's times.
func (d *draft) foldStreamed() (fresh bool, err error) {
	if d.at == 0 {
		d.at = At(d.e.ReceivedAt)
	}
	switch d.e.Kind {
	case events.InsightsConferenceSummary, events.InsightsParticipantSummary:
		return d.foldSummary(), nil
	}
	r := &APIRequest{
		ID: strings.Clone(d.e.Params.Get(events.EventSidParam)), Kind: events.Kind(strings.Clone(string(d.e.Kind))),
		CallSid: strings.Clone(d.e.CallSid), At: d.at,
		Asked:  events.FixedForm(d.e.Params.Prefixed(events.RequestPrefix).Encode()),
		Status: number(d.e.Params.Get(events.ResponseCodeParam), 0),
	}
	i, known := slices.BinarySearchFunc(d.Requests, r.ID, func(r *APIRequest, id string) int { return strings.Compare(r.ID, id) })
	switch {
	case known:
		return false, nil
	case len(d.Requests) >= MaxActions:
		d.Truncated = true
		return true, nil
	}
	d.Requests = inserted(d.Requests, i, r)
	return true, nil
}

// foldSummary fills what no callback stated: every value of a callback wins. A partial
// summary is made while the conference goes on, and says nothing about its end.
func (d *draft) foldSummary() (fresh bool) {
	const digits = 16 // of the id's 32, which are a hash
	id := d.e.ID[:min(digits, len(d.e.ID))]
	i, known := slices.BinarySearch(d.Summaries, id)
	if known {
		return false
	}
	if len(d.Summaries) >= MaxParticipants {
		d.Truncated = true
	} else {
		d.Summaries = inserted(d.Summaries, i, strings.Clone(id))
	}
	s := summaryOf(d.e)
	if d.e.Kind == events.InsightsParticipantSummary {
		d.fillParticipant(s)
		return true
	}
	if s.name != "" {
		d.FriendlyName = laterText(d.FriendlyName, 0, s.name)
	}
	if s.start != 0 {
		d.keepStart(Moment{Seq: behindAll, At: s.start, Healed: true})
	}
	if s.end != 0 && !s.partial {
		// Before a healed end: the summary has Twilio's time of it, and the reason.
		d.keepEnd(Ending{Moment: Moment{Seq: events.NoSequence, At: s.end, Healed: true}, Reason: cut(s.reason), CallSid: s.endedBy})
		d.keepSummarized(Fetched{Reason: cut(s.reason), CallSid: s.endedBy, At: s.end})
	}
	return true
}

// keepSummarized keeps the reason of the end, for a callback that states none.
func (d *draft) keepSummarized(s Fetched) {
	if d.Summarized == nil || compareFetched(s, *d.Summarized) < 0 {
		d.Summarized = &s
	}
}

func (d *draft) fillParticipant(s summary) {
	if d.e.CallSid == "" {
		return
	}
	p := d.participant(d.e.CallSid)
	if p == nil {
		return
	}
	if s.label != "" {
		p.Label = laterText(p.Label, 0, s.label)
	}
	filled := LegSummary{Joined: s.start}
	if !s.partial {
		filled.Left = s.end
	}
	if was := p.Summary; was != nil { // the leg came back: each stay has a summary
		filled.Joined, filled.Left = earliest(was.Joined, filled.Joined), max(was.Left, filled.Left)
	}
	p.Summary = &filled
}

// summary is what a summary states. start and end of a leg are its join and its leave.
type summary struct {
	name, label, reason string
	endedBy             string // CallSid of a leg
	start, end          Instant
	partial             bool
}

func summaryOf(e *events.Event) summary {
	get := func(name string) string { return e.Params.Get(events.SummaryPrefix + name) }
	when := func(names ...string) Instant {
		for _, name := range names {
			if t, err := time.Parse(time.RFC3339, get(name)); err == nil {
				return At(t)
			}
		}
		return 0
	}
	return summary{
		name: get("friendly_name"), label: get("label"), reason: strings.ReplaceAll(get("end_reason"), "_", "-"),
		endedBy: strings.Clone(canonical("CA", get("ended_by"))),
		start:   when("start_time", "join_time"), end: when("end_time", "leave_time"),
		partial: e.Params.Get(events.PartialParam) == "true",
	}
}

// Differences returns where a summary and the record after it disagree, in words, or "". The
// record keeps what callbacks stated.
func Differences(c *Conference, e *events.Event) string {
	if c == nil || !e.Streamed() {
		return ""
	}
	s := summaryOf(e)
	var found []string
	text := func(name, ours, theirs string) {
		if ours != "" && theirs != "" && ours != theirs {
			found = append(found, fmt.Sprintf("%s: callbacks %s, summary %s", name, ours, theirs))
		}
	}
	moment := func(name string, ours, theirs Instant) {
		if ours != 0 && theirs != 0 && max(ours-theirs, theirs-ours) > clockDifference {
			text(name, ours.Time().Format(time.RFC3339), theirs.Time().Format(time.RFC3339))
		}
	}
	switch e.Kind {
	case events.InsightsConferenceSummary:
		text("friendly_name", c.FriendlyName.Value, s.name)
		if c.Start != nil {
			moment("start_time", c.Start.At, s.start)
		}
		if c.End != nil && !s.partial {
			moment("end_time", c.End.At, s.end)
			text("end_reason", c.End.Reason, s.reason)
			text("ended_by", c.End.CallSid, s.endedBy)
		}
	case events.InsightsParticipantSummary:
		if p := c.Participant(e.CallSid); p != nil {
			text("label", p.Label.Value, s.label)
			if spans := c.Intervals(p); len(spans) == 1 && !s.partial { // each stay has its own summary
				moment("join_time", spans[0].From, s.start)
				moment("leave_time", spans[0].Until, s.end)
			}
		}
	}
	return strings.Join(found, "; ")
}

// filled adds the join and the leave that only the leg's summary states.
func (p *Participant) filled(turns []Turn) []Turn {
	s := p.Summary
	if s == nil {
		return turns
	}
	if len(turns) == 0 && s.Joined != 0 {
		turns = append(turns, Turn{Seq: events.NoSequence, At: s.Joined, On: true, Healed: true})
	}
	if n := len(turns); n > 0 && turns[n-1].On && s.Left != 0 && s.Left >= turns[n-1].At {
		turns = append(turns, Turn{Seq: behindAll, At: s.Left, Healed: true})
	}
	return turns
}

// evidence is the API request that can have ended the conference, or nil: it fits Twilio's reason,
// was not refused, and is the last one within the time that an action may take.
func (c *Conference) evidence() (found *APIRequest) {
	for _, r := range c.Requests {
		fits := false
		switch c.End.Reason {
		case EndedViaAPI:
			fits = r.Kind == events.APIConferenceModified && r.ends()
		case EndedByExitKicked, EndedByLastKicked:
			fits = r.Kind == events.APIParticipantDeleted && (c.End.CallSid == "" || c.End.CallSid == r.CallSid)
		}
		inTime := r.At-clockDifference <= c.End.At && c.End.At <= r.At+effectWithin
		if fits && inTime && !r.refused() && (found == nil || cmp.Compare(r.At, found.At) > 0) {
			found = r
		}
	}
	return found
}

// Words returns the request as a sentence without its full stop: "an API request at ...: Status=completed".
func (r *APIRequest) Words() string {
	words := "an API request at " + r.At.Time().Format(time.RFC3339)
	if r.Kind == events.APIParticipantDeleted {
		return words + " removed the participant"
	}
	if r.Asked == "" {
		return words
	}
	return words + " with " + strings.ReplaceAll(r.Asked, "&", ", ")
}
