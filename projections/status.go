package projections

import (
	"cmp"
	"slices"
)

// The three values of a Conference's status in Twilio's REST API.
const (
	StatusInit       = "init"
	StatusInProgress = "in-progress"
	StatusCompleted  = "completed"
)

// Status is the conference's status as /v1 has it: StatedStatus, completed where the end is inferred,
// and in-progress with a finished recording, because Twilio records from the start on.
func (c *Conference) Status() string {
	status := c.StatedStatus()
	switch {
	case c.EndInferred():
		return StatusCompleted
	case status == StatusInit && slices.ContainsFunc(c.Recordings, (*Recording).finished):
		return StatusInProgress
	}
	return status
}

// StatedStatus is the status that rules read. It is not completed before an end was stated. Without
// a subscription to "start" it follows Twilio's rule: mixing begins when two legs are present and
// one of them has startConferenceOnEnter (Twilio, TwiML Voice: <Conference>, event start).
func (c *Conference) StatedStatus() string {
	switch {
	case c.End != nil:
		return StatusCompleted
	case c.Start != nil || c.mustHaveStarted():
		return StatusInProgress
	}
	return StatusInit
}

func (r *Recording) finished() bool { return r.Status() == "completed" && r.Duration > 0 }

// Waiting reports whether legs wait in a conference that has not started. Twilio's documentation
// calls its status init, and two accounts in use showed in-progress.
func (c *Conference) Waiting() bool { return c.Status() == StatusInit && len(c.Live()) > 0 }

// ShownStatus is the status in the shape of Twilio's REST API: that of a waiting conference is
// in-progress.
func (c *Conference) ShownStatus() string {
	if c.Waiting() {
		return StatusInProgress
	}
	return c.Status()
}

// endsAll are the values of ReasonParticipantLeft of the legs that an end of the conference removes.
var endsAll = []string{"conference_ended_via_api", "moderator_ended_conference"}

// EndInferred reports whether the conference must have ended although no end was stated: a leg left
// because it ended, or all legs left that had joined and none was being dialled at the time of the last
// event. It is derived from the whole record, so a
// callback that arrives later or a fact from the REST API wins.
func (c *Conference) EndInferred() bool {
	if c.End != nil {
		return false
	}
	var came, removed Turn
	joined, live := false, false
	for _, p := range c.Participants {
		live = live || p.Live()
		for _, t := range p.Present {
			if joined = joined || t.On; t.On && CompareTurns(t, came) > 0 {
				came = t
			}
		}
		if p.Left != nil && slices.Contains(endsAll, p.Left.Reason) {
			removed = Turn{Seq: p.Left.Seq, At: p.Left.At}
		}
	}
	return removed != Turn{} && CompareTurns(removed, came) > 0 || joined && !live && len(c.Dialling(c.Updated)) == 0
}

// Present returns the legs that are in the conference now, like Live, and none after an end that is
// inferred.
func (c *Conference) Present() []*Participant {
	if c.EndInferred() {
		return nil
	}
	return c.Live()
}

// mustHaveStarted reports whether, in the order of SequenceNumber, two legs
// were present at some moment and one of them starts the conference.
func (c *Conference) mustHaveStarted() bool {
	if len(c.Participants) < 2 {
		return false
	}
	type step struct {
		Turn
		starts bool
	}
	var steps []step
	for _, p := range c.Participants {
		starts := false
		for _, t := range p.presence() {
			if t.On {
				starts = p.starts(t)
			}
			steps = append(steps, step{t, starts})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return CompareTurns(a.Turn, b.Turn) })
	var present, starters int
	for _, s := range steps {
		by := 1
		if !s.On {
			by = -1
		}
		present += by
		if s.starts {
			starters += by
		}
		if present >= 2 && starters >= 1 {
			return true
		}
	}
	return false
}

// starts reports whether the leg has startConferenceOnEnter in the stay that began with that turn. Only
// a join's callback states it of one stay.
func (p *Participant) starts(join Turn) bool {
	has := func(turns []Turn) bool {
		_, found := slices.BinarySearchFunc(turns, join, CompareTurns)
		return found
	}
	if join.Healed || !has(p.Present) {
		return p.Flags.Value.StartConferenceOnEnter
	}
	return !has(p.Waiting)
}

// Live returns the legs that are in the conference now; none once it ended.
func (c *Conference) Live() []*Participant {
	if c.End != nil {
		return nil
	}
	var live []*Participant
	for _, p := range c.Participants {
		if p.Live() {
			live = append(live, p)
		}
	}
	return live
}

// Live reports whether the latest event of the leg is not its leave. It does
// not check whether the conference goes on: use Conference.Live for that.
func (p *Participant) Live() bool {
	return p.Last.On && (p.Summary == nil || p.Summary.Left == 0 || p.Summary.Left < p.Last.At)
}

// Participant returns the leg with that CallSid, or nil.
func (c *Conference) Participant(callSid string) *Participant {
	for _, p := range c.Participants {
		if p.CallSid == callSid {
			return p
		}
	}
	return nil
}

// addFailed is ReasonParticipantLeft of a leg that was dialled and not reached.
const addFailed = "participant_add_failed"

// notReached are the values of ParticipantCallStatus of a call that was never answered.
var notReached = []string{"busy", "no-answer", "failed", "canceled"}

// NotReached reports whether a leave with these two parameters is that of a leg that was dialled and
// not answered.
func NotReached(reason, callStatus string) bool {
	return reason == addFailed || slices.Contains(notReached, callStatus)
}

// NeverJoined reports whether the leg was dialled into the conference and never was in it: Twilio
// reports only its leave, with the reason participant_add_failed or a call status like busy. It is
// not company for anyone. A leave of another kind without a join is that of a leg whose join was
// lost, and so is one of a leg that anything was reported about before it left.
func (p *Participant) NeverJoined() bool {
	if p.Left == nil || p.Created < p.Left.At || p.Last.On || len(p.Held)+len(p.Muted) > 0 {
		return false
	}
	return !slices.ContainsFunc(p.Present, func(t Turn) bool { return t.On }) &&
		NotReached(p.Left.Reason, p.Left.CallStatus)
}

// Joined returns the legs that were ever in the conference.
func (c *Conference) Joined() []*Participant {
	if !slices.ContainsFunc(c.Participants, (*Participant).NeverJoined) {
		return c.Participants
	}
	return slices.DeleteFunc(slices.Clone(c.Participants), (*Participant).NeverJoined)
}

// presence alternates joins and leaves: a repeated join or leave is dropped,
// and a first leave without a join gets one. A join has the time of its callback.
func (p *Participant) presence() []Turn {
	if p.NeverJoined() {
		return nil
	}
	var out []Turn
	if len(p.Present) > 0 && !p.Present[0].On {
		out = append(out, Turn{Seq: -1, At: p.FirstSign(), On: true})
	}
	for _, t := range p.Present {
		if n := len(out); n > 0 && out[n-1].On == t.On {
			if t.On && out[n-1].Healed && !t.Healed && t.At <= out[n-1].At+clockDifference {
				out[n-1] = t // the join whose callback came after Twilio's answer
			}
			continue
		}
		out = append(out, t)
	}
	if len(out) == 0 && p.Last.On {
		out = append(out, Turn{Seq: p.Last.Seq, At: p.FirstSign(), On: true})
	}
	return p.filled(out)
}

// FirstSign is the earliest time at which the leg is known: on Twilio's clock,
// or on ours if no callback ever named it.
func (p *Participant) FirstSign() Instant {
	switch {
	case p.Created != 0:
		return p.Created
	case len(p.Present) > 0:
		return p.Present[0].At
	case p.Summary != nil && p.Last == (Turn{}):
		return p.Summary.Joined
	}
	return p.Last.At
}

// updated is the latest such time.
func (p *Participant) updated() Instant { return cmp.Or(p.Updated, p.Last.At) }

// Leaving returns the latest leave: as a callback stated it or, if that was missed, when Twilio no
// longer listed the leg. A leg that came back keeps it; nil if the leg never left.
func (p *Participant) Leaving() *Leaving {
	var healed *Leaving
	for _, t := range slices.Backward(p.Present) {
		switch {
		case !t.On && !t.Healed:
			return p.Left
		case !t.On:
			healed = &Leaving{Moment: Moment{Seq: t.Seq, At: t.At, Healed: true}}
		case healed != nil:
			return healed
		}
	}
	return cmp.Or(healed, p.Left)
}

// Interval is a stretch of time on Twilio's clock. Until is zero while it lasts.
type Interval struct{ From, Until Instant }

// Intervals returns when the leg was in the conference. If its join was missed,
// it counts from the first sign of the leg.
func (c *Conference) Intervals(p *Participant) []Interval {
	return c.closed(spans(p.presence()))
}

// Holds returns when the leg was on hold.
func (c *Conference) Holds(p *Participant) []Interval {
	return c.closed(spans(withLeaves(p.held(), p.Present)))
}

// HeldSeconds returns how long the leg was on hold, in seconds up to now.
func (c *Conference) HeldSeconds(p *Participant, now Instant) int64 {
	return seconds(c.Holds(p), now)
}

// MutedSeconds returns how long the leg was muted, in seconds up to now.
func (c *Conference) MutedSeconds(p *Participant, now Instant) int64 {
	return seconds(c.closed(spans(withLeaves(p.muted(), p.Present))), now)
}

// PresentSeconds returns how long the leg was present, in seconds up to now.
func (c *Conference) PresentSeconds(p *Participant, now Instant) int64 {
	return seconds(c.Intervals(p), now)
}

// seconds is the length of all intervals; an open one lasts until now.
func seconds(all []Interval, now Instant) (sum int64) {
	for _, i := range all {
		sum += max(0, int64(cmp.Or(i.Until, now)-i.From))
	}
	return sum
}

// closed ends the last interval if the conference ended.
func (c *Conference) closed(all []Interval) []Interval {
	if n := len(all); n > 0 && c.End != nil && all[n-1].Until == 0 {
		all[n-1].Until = max(c.End.At, all[n-1].From)
	}
	return all
}

// withLeaves adds the leaves to the turns of hold or mute: a leg that left is
// no longer held or muted.
func withLeaves(turns, present []Turn) []Turn {
	out := slices.Clone(turns)
	for _, t := range present {
		if !t.On {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, CompareTurns)
	return out
}

// spans turns an alternation into intervals; a second "on" in a row does not start a new one.
func spans(turns []Turn) []Interval {
	var out []Interval
	open := false
	for _, t := range turns {
		switch {
		case t.On && !open:
			out, open = append(out, Interval{From: t.At}), true
		case !t.On && open:
			out[len(out)-1].Until, open = t.At, false
		}
	}
	return out
}

// Gaps returns the sequence numbers between the least and the greatest that no event has: a hint at
// lost callbacks, not a proof, because Twilio does not state that numbers are contiguous. Numbers
// that the door dropped on purpose are not gaps.
func (c *Conference) Gaps() Ranges {
	if len(c.Seen) == 0 {
		return nil
	}
	return c.Seen.union(c.SpeechDropped).holes()
}

// Late reports whether an event with that SequenceNumber arrives after one with a greater number.
func (c *Conference) Late(sequenceNumber int64) bool {
	return c != nil && sequenceNumber >= 0 && sequenceNumber < c.Seen.Max()
}

// recordingStages are the statuses of a recording in the order it goes through them (Twilio,
// Conference Recording resource); unknown ones come before all of these.
var recordingStages = []string{"in-progress", "paused", "stopped", "processing", "completed", "absent", "failed"}

// Status is the furthest of the recording's statuses.
func (r *Recording) Status() string {
	furthest, stage := "", -2
	for _, s := range r.Statuses {
		if n := slices.Index(recordingStages, s); n > stage {
			furthest, stage = s, n
		}
	}
	return furthest
}
