package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
)

const (
	// testAccount is whose conferences those of a test are.
	testAccount = "AC00000000000000000000000000000001"
	// testRoom is the room of entries that name none.
	testRoom = "room"
	// mostTurns bounds the entries and wake-ups of one test: a rule that
	// begins again and again must not keep a test from ending.
	mostTurns = 100_000
)

// testStart is when a timeline begins that does not say: a Monday morning.
var testStart = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// play is one timeline under way.
type play struct {
	test  *Timeline
	set   *Set
	load  func(files []string) (*Set, error)
	start time.Time
	turns []turn // sorted by time
	count int
	rooms map[string]*room
	tally map[string]Tally
	// taken is what was decided, in order; known are the ids, for whoever
	// performs keeps one decision of each.
	taken []taken
	known map[string]bool
}

// turn is something that happens at a time.
type turn struct {
	at    time.Time
	order int
	do    func() error
}

// taken is a decision, with what people call its leg.
type taken struct {
	Decision
	room, label string
}

// room is one conference of a test.
type room struct {
	name   string
	sid    string
	record *projections.Conference
	state  *State
	legs   []*leg
	told   int64 // the last SequenceNumber
	fixed  map[int64]bool
}

// leg is one participant of a test.
type leg struct {
	name, label, callSid string
	flags                projections.Flags
}

func (t *Timeline) begin() time.Time {
	if t.Start.IsZero() {
		return testStart
	}
	return t.Start.UTC()
}

// run plays the timeline to its end.
func (t *Timeline) run(set *Set, load func([]string) (*Set, error)) ([]taken, error) {
	p := &play{test: t, set: set, load: load, start: t.begin(), rooms: map[string]*room{}, known: map[string]bool{}, tally: map[string]Tally{}}
	for i := range t.Timeline {
		e := &t.Timeline[i]
		if e.Sequence != nil {
			p.room(e.Conference).fixed[*e.Sequence] = true
		}
		p.plan(p.start.Add(e.At), func() error { return p.enter(e) })
	}
	for len(p.turns) > 0 {
		next := p.turns[0]
		if t.Until > 0 && next.at.After(p.start.Add(t.Until)) {
			break
		}
		if p.count > mostTurns {
			return nil, fmt.Errorf("%d: the test does not come to an end; give it an until", t.line)
		}
		p.turns = p.turns[1:]
		if err := next.do(); err != nil {
			return nil, err
		}
	}
	return p.taken, nil
}

// plan puts something on the timeline, behind what is there at the same time.
func (p *play) plan(at time.Time, do func() error) {
	p.count++
	t := turn{at, p.count, do}
	i, _ := slices.BinarySearchFunc(p.turns, t, func(a, b turn) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order))
	})
	p.turns = slices.Insert(p.turns, i, t)
}

// enter puts one entry into the journal.
func (p *play) enter(e *TestEntry) error {
	at := p.start.Add(e.At)
	in := Input{ID: fmt.Sprintf("line-%d", e.line), At: at, Reread: e.Reread}
	switch {
	case len(e.Load) > 0:
		return p.reload(e, in)
	case e.Exempt != nil:
		in.Exemption = &Exemption{Rule: e.Exempt.Rule, Until: at.Add(e.Exempt.For)}
	case e.Event != "":
		event, err := p.callback(e, at)
		if err != nil {
			return fmt.Errorf("%d: %w", e.line, err)
		}
		in.ID, in.Fact = event.ID, &event
	}
	return p.judge(p.room(e.Conference), in)
}

// reload changes the rules for every conference there is.
func (p *play) reload(e *TestEntry, in Input) error {
	set, err := p.load(e.Load)
	if err != nil {
		return fmt.Errorf("%d: %w", e.line, err)
	}
	in.Loaded = &Load{Changed: Changed(p.set, set)}
	p.set = set
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		if err := p.judge(p.rooms[name], in); err != nil {
			return err
		}
	}
	return nil
}

// judge holds one input against the rules and plans what follows from it.
func (p *play) judge(r *room, in Input) error {
	before := r.record
	if in.Fact != nil {
		after, fresh, err := projections.Fold(before, in.Fact)
		if err != nil {
			return fmt.Errorf("fold: %w", err)
		}
		if !fresh {
			in.Fact = nil // a double: it tells nothing but its time
		}
		r.record = after
	}
	j := Judge(p.set, r.state, before, in, r.record)
	r.state = j.State
	if len(j.Faults) > 0 {
		f := j.Faults[0]
		return fmt.Errorf("%d: rule %s: %s: %w", p.test.line, f.Rule, f.In, f.Err)
	}
	if !j.Wake.IsZero() {
		p.plan(j.Wake, func() error { return p.judge(r, Input{At: j.Wake}) })
	}
	for _, d := range j.Decisions {
		p.take(r, d)
	}
	return nil
}

// take notes a decision and plans its outcome.
func (p *play) take(r *room, d Decision) {
	if d.Verdict == Match {
		p.countMatch(d)
		return
	}
	if p.known[d.ID] {
		return
	}
	p.known[d.ID] = true
	t := taken{Decision: d, label: "-", room: "-"}
	if r != nil {
		t.room = r.name
		if i := slices.IndexFunc(r.legs, func(l *leg) bool { return l.callSid == d.CallSid }); i >= 0 {
			t.label = cmp.Or(r.legs[i].label, r.legs[i].name)
		}
	}
	p.taken = append(p.taken, t)
	if o := p.outcome(d); d.Verdict == Act && r != nil && o.Result != NoAnswer {
		at := d.AsOf.Add(o.After)
		p.plan(at, func() error {
			return p.judge(r, Input{ID: d.ID, At: at, Outcome: &Outcome{Decision: d.ID, Result: cmp.Or(o.Result, events.Done)}})
		})
	}
}

func (p *play) countMatch(d Decision) {
	key := d.Rule + "\x00" + d.By
	tally, decisions := JudgeCount(p.set, p.tally[key], d)
	p.tally[key] = tally
	for _, d := range decisions {
		p.take(nil, d)
	}
}

// outcome is what the test says of a step's end.
func (p *play) outcome(d Decision) TestOutcome {
	for _, o := range p.test.Outcomes {
		if (o.Rule == "" || o.Rule == d.Rule) && (o.Do == "" || o.Do == d.Do) {
			return o
		}
	}
	return TestOutcome{}
}

func (p *play) room(name string) *room {
	name = cmp.Or(name, testRoom)
	r := p.rooms[name]
	if r == nil {
		r = &room{name: name, sid: fmt.Sprintf("CF%032x", len(p.rooms)+1), fixed: map[int64]bool{}}
		p.rooms[name] = r
	}
	return r
}

// callback writes an entry out as Twilio would send it.
func (p *play) callback(e *TestEntry, at time.Time) (events.Event, error) {
	r := p.room(e.Conference)
	happened := at
	if e.Happened != nil {
		happened = p.start.Add(*e.Happened)
	}
	form := events.Params{{Name: "AccountSid", Value: testAccount}, {Name: "ConferenceSid", Value: r.sid}}
	add := func(name, value string) { form = append(form, events.Param{Name: name, Value: value}) }
	source := events.SourceCallback
	if status, is := strings.CutPrefix(string(e.Event), "recording-"); is {
		source = events.SourceRecording
		add("RecordingSid", "RE"+r.sid[2:])
		add("RecordingStatus", status)
	} else {
		add("FriendlyName", r.name)
		add("SequenceNumber", strconv.FormatInt(r.sequence(e.Sequence), 10))
		add("Timestamp", happened.Format(time.RFC1123Z))
		add("StatusCallbackEvent", string(e.Event))
	}
	if e.Leg+e.Label != "" {
		form = append(form, r.leg(e).tell(e)...)
	}
	form = append(form, reasons(e)...)
	for _, name := range slices.Sorted(maps.Keys(e.Params)) {
		add(name, e.Params[name])
	}
	return events.Parse(events.Entry{Source: source, ReceivedAt: at, Form: form.Encode()})
}

// sequence is the number of the next callback: the one it is given, or the
// first that none is given.
func (r *room) sequence(given *int64) int64 {
	if given != nil {
		return *given
	}
	for r.told++; r.fixed[r.told]; r.told++ {
	}
	return r.told
}

func (r *room) leg(e *TestEntry) *leg {
	name := cmp.Or(e.Leg, e.Label)
	for _, l := range r.legs {
		if l.name == name {
			return l
		}
	}
	l := &leg{name: name, label: e.Label, callSid: fmt.Sprintf("CA%s%016x", r.sid[18:], len(r.legs)+1)}
	l.flags.StartConferenceOnEnter = true
	r.legs = append(r.legs, l)
	return l
}

// tell is what every event about a leg carries: its flags after it.
func (l *leg) tell(e *TestEntry) events.Params {
	f := &l.flags
	for _, set := range []struct{ to, from *bool }{
		{&f.StartConferenceOnEnter, e.Start},
		{&f.EndConferenceOnExit, e.EndOnExit},
		{&f.Hold, e.Hold},
		{&f.Muted, e.Muted},
		{&f.Coaching, e.Coaching},
	} {
		if set.from != nil {
			*set.to = *set.from
		}
	}
	switch e.Event {
	case events.ParticipantHold, events.ParticipantUnhold:
		f.Hold = e.Event == events.ParticipantHold
	case events.ParticipantMute, events.ParticipantUnmute:
		f.Muted = e.Event == events.ParticipantMute
	}
	told := events.Params{
		{Name: "CallSid", Value: l.callSid},
		{Name: "Muted", Value: strconv.FormatBool(f.Muted)},
		{Name: "Hold", Value: strconv.FormatBool(f.Hold)},
		{Name: "Coaching", Value: strconv.FormatBool(f.Coaching)},
		{Name: "EndConferenceOnExit", Value: strconv.FormatBool(f.EndConferenceOnExit)},
		{Name: "StartConferenceOnEnter", Value: strconv.FormatBool(f.StartConferenceOnEnter)},
	}
	if l.label != "" {
		told = append(told, events.Param{Name: "ParticipantLabel", Value: l.label})
	}
	return told
}

// reasons are what the two events that have one say by themselves.
func reasons(e *TestEntry) events.Params {
	switch e.Event {
	case events.ParticipantLeave:
		return events.Params{{Name: "ReasonParticipantLeft", Value: cmp.Or(e.Reason, "participant_hung_up")}}
	case events.ConferenceEnd:
		return events.Params{{Name: "ReasonConferenceEnded", Value: cmp.Or(e.Reason, "last-participant-left")}}
	}
	return nil
}
