package projections

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gavel/events"
)

// Fold folds one more event into c. It returns the record after the event and whether the event was
// fresh: false is a double, which leaves the record as it was. c may be nil, for a conference
// without a record, and is never changed: Fold copies what it changes and shares the rest, so that
// a store can find the changed parts by comparing pointers.
//
// The error wraps events.ErrMalformed: the event can never be folded.
func Fold(c *Conference, e *events.Event) (after *Conference, fresh bool, err error) {
	d := draft{Conference: new(Conference), before: c, e: e, at: At(e.OccurredAt)}
	if c == nil {
		d.AccountSid, d.ConferenceSid = strings.Clone(e.AccountSid), strings.Clone(e.ConferenceSid)
	} else {
		*d.Conference = *c
	}
	if fresh, err = d.fold(); err != nil {
		return c, false, err
	}
	if !fresh {
		return c, false, nil
	}
	return d.Conference, true, nil
}

// draft is a record being changed by one event. Its slices and pointers are shared with the record
// before: every method replaces them and none writes through them. The Conference is an allocation
// of its own: as a part of the draft it would keep the draft in memory, with the record before it,
// and so every record that the conference ever had.
type draft struct {
	*Conference
	before *Conference
	e      *events.Event
	at     Instant
	// returns: the fact states that its leg is present, and is not late.
	returns bool
}

// fold calls the method for the kind of event.
func (d *draft) fold() (fresh bool, err error) {
	switch {
	case d.e.Kind == events.SpeechDropped:
		return d.foldSpeechDropped()
	case d.e.Kind == events.ActionIntent || d.e.Kind == events.ActionOutcome:
		return d.foldAction()
	case d.e.Kind == events.HealedFact:
		return d.foldHealed()
	case d.e.Kind == events.ConferenceFetched:
		return d.foldFetched()
	case d.e.Kind == events.ParticipantDialled:
		return d.foldDialled()
	case d.e.Kind.OfRules():
		return false, nil
	case d.e.Streamed():
		return d.foldStreamed()
	case d.e.Kind == events.ConferenceRecordEnd:
		return d.foldRecordEnd()
	case d.e.Kind.Recording() && d.e.SequenceNumber == events.NoSequence:
		return d.foldRecording()
	}
	return d.foldNumbered()
}

// foldNumbered folds every event that has a SequenceNumber, of known kinds or not. A number seen before is a double unless the event changes
// the record: Twilio does not promise that two events never share a number.
func (d *draft) foldNumbered() (fresh bool, err error) {
	if d.at == 0 {
		d.dateUndated()
	}
	double := d.Seen.Has(d.e.SequenceNumber)
	d.markSeen()
	d.touch(d.at)
	d.foldName()
	d.foldRegion()
	switch d.e.Kind {
	case events.ConferenceStart:
		d.foldStart()
	case events.ConferenceEnd:
		d.foldEnd()
	case events.AnnouncementEnd:
		d.AnnouncementsEnded = d.AnnouncementsEnded.With(d.e.SequenceNumber)
	case events.AnnouncementFail:
		d.AnnouncementsFailed = d.AnnouncementsFailed.With(d.e.SequenceNumber)
	}
	if d.e.CallSid != "" {
		d.foldParticipant()
	}
	return !double || !Equal(d.before, d.Conference), nil
}

// dateUndated gives an event without a readable Timestamp the time of its receipt, because its
// content must not be lost, and notes it; a copy gets the time of the noted one. Such an
// event is stale for rules: its age is unknown, so it never starts an action.
func (d *draft) dateUndated() {
	u := Undated{Seq: d.e.SequenceNumber, Kind: d.e.Kind, CallSid: d.e.CallSid, At: At(d.e.ReceivedAt)}
	i, known := slices.BinarySearchFunc(d.Undated, u, compareUndated)
	switch {
	case known:
		u = d.Undated[i]
	case len(d.Undated) >= MaxUndated:
		d.Truncated = true
	default:
		u.Kind, u.CallSid = events.Kind(strings.Clone(string(u.Kind))), strings.Clone(u.CallSid)
		d.Undated = inserted(d.Undated, i, u)
	}
	d.at = u.At
}

// markSeen adds the number to Seen. At the bound it opens no new range and sets Truncated; an event
// whose number would need one is a double only if it changes nothing.
func (d *draft) markSeen() {
	if d.e.SequenceNumber == events.NoSequence {
		return
	}
	seen := d.Seen.With(d.e.SequenceNumber)
	if len(seen) > MaxRanges {
		d.Truncated = true
		return
	}
	d.Seen = seen
}

// touch widens the conference's times to include at.
func (d *draft) touch(at Instant) {
	d.Created, d.Updated = widen(d.Created, d.Updated, at)
}

// foldName keeps the friendly name of the event with the greatest SequenceNumber.
func (d *draft) foldName() {
	if name, ok := d.e.Params.Lookup("FriendlyName"); ok {
		d.FriendlyName = laterText(d.FriendlyName, d.e.SequenceNumber, name)
	}
}

// foldRegion keeps the region of the event with the least SequenceNumber that has one. An event
// without one may be signed by a shared key, which is of no region.
func (d *draft) foldRegion() {
	r := Stated[string]{Seq: d.e.SequenceNumber, Value: d.e.Region}
	if r.Value == "" || d.KeyRegion.Value != "" && later(d.KeyRegion, r, strings.Compare) == r {
		return
	}
	r.Value = strings.Clone(r.Value)
	d.KeyRegion = r
}

// foldStart keeps the earliest start.
func (d *draft) foldStart() { d.keepStart(d.moment()) }

func (d *draft) keepStart(m Moment) {
	if d.Start == nil || compareMoments(m, *d.Start) < 0 {
		d.Start = &m
	}
}

// foldEnd keeps the earliest end: that event ended the conference.
func (d *draft) foldEnd() {
	p := d.e.Params
	end := Ending{
		Moment:  d.moment(),
		Reason:  cut(p.Get("ReasonConferenceEnded")),
		Text:    cut(p.Get("Reason")),
		CallSid: canonical("CA", p.Get("CallSidEndingConference")),
		Label:   cut(p.Get("ParticipantLabelEndingConference")),
	}
	d.keepEnd(end)
}

func (d *draft) keepEnd(end Ending) {
	if d.End == nil || compareEndings(end, *d.End) < 0 {
		d.End = &end
	}
}

// foldParticipant folds what an event states about the leg it names.
func (d *draft) foldParticipant() {
	d.returns = d.e.Kind != events.ParticipantLeave && !d.before.Late(d.e.SequenceNumber)
	p := d.participant(d.e.CallSid)
	if p == nil {
		return
	}
	p.Created, p.Updated = widen(p.Created, p.Updated, d.at)
	p.keepLast(d.turn(d.e.Kind != events.ParticipantLeave))
	if label, ok := d.e.Params.Lookup("ParticipantLabel"); ok {
		p.Label = laterText(p.Label, d.e.SequenceNumber, label)
	}
	flags, stated := flagsOf(d.e)
	if stated {
		p.keepFlags(Stated[Flags]{Seq: d.e.SequenceNumber, Value: flags})
	}
	d.foldTurns(p, flags)
}

// keepLast keeps the latest sign of the leg.
func (p *Participant) keepLast(turn Turn) {
	if CompareTurns(turn, p.Last) > 0 || p.Last == (Turn{}) {
		p.Last = turn
	}
}

// foldTurns folds the states that last: presence, hold and mute. A leg can join
// muted or held, so a join starts those too.
func (d *draft) foldTurns(p *Participant, flags Flags) {
	switch d.e.Kind {
	case events.ParticipantJoin:
		p.Present = withTurn(p.Present, d.turn(true))
		if !flags.StartConferenceOnEnter {
			p.Waiting = withTurn(p.Waiting, d.turn(true))
		}
		if flags.Hold {
			p.Held = withTurn(p.Held, d.turn(true))
		}
		if flags.Muted {
			p.Muted = withTurn(p.Muted, d.turn(true))
		}
	case events.ParticipantLeave:
		p.Present = withTurn(p.Present, d.turn(false))
		d.foldLeave(p)
	case events.ParticipantHold, events.ParticipantUnhold:
		p.Held = withTurn(p.Held, d.turn(d.e.Kind == events.ParticipantHold))
	case events.ParticipantMute, events.ParticipantUnmute:
		p.Muted = withTurn(p.Muted, d.turn(d.e.Kind == events.ParticipantMute))
	case events.ParticipantModify:
		p.Modified = max(p.Modified, d.at)
	}
	p.place()
}

// foldLeave keeps the latest leave.
func (d *draft) foldLeave(p *Participant) {
	left := Leaving{
		Moment:     d.moment(),
		Reason:     cut(d.e.Params.Get("ReasonParticipantLeft")),
		CallStatus: cut(d.e.Params.Get("ParticipantCallStatus")),
	}
	if p.Left == nil || compareLeavings(left, *p.Left) > 0 {
		p.Left = &left
	}
}

// moment is the event's place in Twilio's sequence and its time.
func (d *draft) moment() Moment { return Moment{Seq: d.e.SequenceNumber, At: d.at} }

// turn is moment as a Turn.
func (d *draft) turn(on bool) Turn { return Turn{Seq: d.e.SequenceNumber, At: d.at, On: on} }

// participant returns the leg to write, already in the draft's own list: a copy
// of the one before, or a new one. It returns nil if the record is full of legs that are present, or if the
// leg was removed and the fact does not state that it is back.
func (d *draft) participant(callSid string) *Participant {
	i, known := slices.BinarySearchFunc(d.Participants, callSid,
		func(p *Participant, sid string) int { return strings.Compare(p.CallSid, sid) })
	if known {
		d.Participants = withCopy(d.Participants, i)
		return d.Participants[i]
	}
	if d.Removed.Has(callSid) {
		if !d.returns {
			return nil
		}
		d.Removed = d.Removed.without(callSid)
	}
	if len(d.Participants) >= MaxParticipants {
		d.Truncated = true
		if !d.removeLeg() {
			return nil
		}
		i, _ = slices.BinarySearchFunc(d.Participants, callSid,
			func(p *Participant, sid string) int { return strings.Compare(p.CallSid, sid) })
	}
	p := &Participant{CallSid: strings.Clone(callSid)}
	d.arrived(p)
	d.Participants = inserted(d.Participants, i, p)
	return p
}

// foldRecording folds a recordingStatusCallback. An event is identified by its
// recording and status, so a status folded before is a double.
func (d *draft) foldRecording() (fresh bool, err error) {
	r := d.recording(d.e.RecordingSid, "")
	if r == nil {
		return true, nil
	}
	status := d.e.Params.Get("RecordingStatus")
	i, known := slices.BinarySearch(r.Statuses, status)
	if known {
		return false, nil
	}
	r.Statuses = inserted(r.Statuses, i, strings.Clone(status))
	d.mergeRecording(r)
	started := recordingStart(d.e.Params.Get("RecordingStartTime"))
	r.StartedAt = earliest(r.StartedAt, started)
	d.touch(started)
	return true, nil
}

// mergeRecording adds what one callback states; where two callbacks differ, the
// greater value stays, whichever came first.
func (d *draft) mergeRecording(r *Recording) {
	p := d.e.Params
	r.URL = max(r.URL, cut(p.Get("RecordingUrl")))
	r.CallSid = max(r.CallSid, strings.Clone(d.e.CallSid))
	r.Source = max(r.Source, cut(p.Get("RecordingSource")))
	r.Duration = max(r.Duration, number(p.Get("RecordingDuration"), -1))
	r.Channels = max(r.Channels, number(p.Get("RecordingChannels"), 0))
	if code := p.Get("ErrorCode"); code != "0" {
		r.ErrorCode = max(r.ErrorCode, cut(code))
	}
}

// recordingStart returns zero for a text that is not a date: the recording is kept without its start.
func recordingStart(s string) Instant {
	t, err := events.ParseTimestamp(s)
	if err != nil {
		return 0
	}
	return At(t)
}

// foldRecordEnd folds Twilio's deprecated event conference-record-end. Its RecordingUrl identifies
// the recording: another event with the same URL is a double.
func (d *draft) foldRecordEnd() (fresh bool, err error) {
	url := cut(d.e.Params.Get("RecordingUrl"))
	if slices.ContainsFunc(d.Recordings, func(r *Recording) bool { return r.Sid == "" && r.URL == url }) {
		return false, nil
	}
	d.markSeen()
	if d.at != 0 {
		d.touch(d.at)
	}
	r := d.recording("", url)
	if r == nil {
		return true, nil
	}
	r.Statuses = []string{"completed"}
	r.Duration = number(d.e.Params.Get("Duration"), -1)
	r.FileSize = number(d.e.Params.Get("RecordingFileSize"), 0)
	return true, nil
}

// recording returns the recording to write, already in the draft's own list: a copy
// of the one before, or a new one. It returns nil if the record is full.
func (d *draft) recording(sid, url string) *Recording {
	want := &Recording{Sid: strings.Clone(sid), URL: url, Duration: -1}
	i, known := slices.BinarySearchFunc(d.Recordings, want, compareRecordings)
	if known {
		d.Recordings = withCopy(d.Recordings, i)
		return d.Recordings[i]
	}
	if len(d.Recordings) >= MaxRecordings {
		d.Truncated = true
		return nil
	}
	d.Recordings = inserted(d.Recordings, i, want)
	return want
}

// foldSpeechDropped adds numbers that the door dropped, so that they do not
// count as gaps. It is fresh if it names a number not named before.
func (d *draft) foldSpeechDropped() (fresh bool, err error) {
	numbers, err := events.DroppedNumbers(*d.e)
	if err != nil {
		return false, fmt.Errorf("fold dropped numbers: %w", err)
	}
	dropped := d.SpeechDropped.union(numbers)
	if dropped.Count() == d.SpeechDropped.Count() {
		return false, nil
	}
	if len(dropped) > MaxRanges {
		d.Truncated = true
		return true, nil
	}
	d.SpeechDropped = dropped
	return true, nil
}

// later returns the value with the greater SequenceNumber. Of two with the same number a healed
// value wins, and of two healed ones the one fetched later; then the greater value wins, so that
// the order of events never decides. The zero Stated loses to every other, because zero is the
// least in each of these orders.
func later[T any](a, b Stated[T], compare func(T, T) int) Stated[T] {
	if c := cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Healed, b.Healed), cmp.Compare(a.Milli, b.Milli), compare(a.Value, b.Value)); c >= 0 {
		return a
	}
	return b
}

// laterText is later for a free text. It does not copy a text that equals the current value.
func laterText(t Stated[string], seq int64, text string) Stated[string] {
	if text == t.Value {
		return Stated[string]{Seq: max(t.Seq, seq), Value: t.Value}
	}
	return later(t, Stated[string]{Seq: seq, Value: cut(text)}, strings.Compare)
}

// withTurn returns turns with t added, sorted, the newest MaxTurns.
func withTurn(turns []Turn, t Turn) []Turn {
	i, known := slices.BinarySearchFunc(turns, t, CompareTurns)
	if known {
		return turns
	}
	turns = inserted(turns, i, t)
	return turns[max(0, len(turns)-MaxTurns):]
}

// withCopy returns a copy of s whose element i is a copy too and may be written.
func withCopy[T any](s []*T, i int) []*T {
	v := *s[i]
	s = slices.Clone(s)
	s[i] = &v
	return s
}

// inserted returns a copy of s with v at i. Unlike slices.Insert it never
// writes into s and leaves no spare capacity: the next fold copies again.
func inserted[T any](s []T, i int, v T) []T {
	out := make([]T, len(s)+1)
	copy(out, s[:i])
	out[i] = v
	copy(out[i+1:], s[i:])
	return out
}

// flagsOf reads a participant's flags, which are the state after the change:
// where the kind itself names a state, the kind decides.
func flagsOf(e *events.Event) (f Flags, stated bool) {
	on := func(name string) bool {
		v, ok := e.Params.Lookup(name)
		stated = stated || ok
		return v == "true"
	}
	f = Flags{
		Muted:                  on("Muted"),
		Hold:                   on("Hold"),
		Coaching:               on("Coaching"),
		EndConferenceOnExit:    on("EndConferenceOnExit"),
		StartConferenceOnEnter: on("StartConferenceOnEnter"),
	}
	switch e.Kind {
	case events.ParticipantMute, events.ParticipantUnmute:
		f.Muted, stated = e.Kind == events.ParticipantMute, true
	case events.ParticipantHold, events.ParticipantUnhold:
		f.Hold, stated = e.Kind == events.ParticipantHold, true
	}
	return f, stated
}

func widen(from, to, at Instant) (Instant, Instant) {
	return earliest(from, at), max(to, at)
}

// earliest is the lesser of two instants; zero means not stated.
func earliest(a, b Instant) Instant {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// cut bounds a text, between characters. Like all texts that a record keeps,
// the result is a copy: the source is part of a whole journal message, which
// would stay in memory for as long as the record.
func cut(s string) string {
	if len(s) <= MaxText {
		return strings.Clone(s)
	}
	end := MaxText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.Clone(s[:end])
}

// canonical is the SID in canonical letter case, or "" if it is not a SID: the
// door accepts empty ones.
func canonical(prefix, sid string) string {
	if !events.IsSid(prefix, sid) {
		return ""
	}
	return strings.Clone(events.CanonicalSid(sid))
}

func number(s string, otherwise int64) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}
