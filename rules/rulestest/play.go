package rulestest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
	"gavel/rules"
)

const (
	// testAccount is the account of all conferences of a test.
	testAccount = "AC00000000000000000000000000000001"
	// testRoom is the room of entries that name none.
	testRoom = "room"
	// mostTurns bounds the entries and wake-ups of one test, so that a rule
	// that begins again and again cannot keep a test from ending.
	mostTurns = 100_000
)

// testStart is when a timeline without start begins: a Monday morning.
var testStart = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// play is one running timeline: the journal of one lane, and its host.
type play struct {
	test    *Timeline
	load    func(files []string) (*rules.Set, error)
	start   time.Time
	machine *lanes.Machine
	sets    map[string]*rules.Set // by version
	last    events.Position
	turns   []turn // sorted by time
	count   int
	rooms   map[string]*room // by name
	// decided is what was decided, in order. known are the ids of these
	// decisions: each counts once.
	decided []decision
	known   map[string]bool
	// faults are the first errors of expressions without a value.
	faults map[FaultExpectation]error
}

// turn is an action that is due at a time.
type turn struct {
	at    time.Time
	order int
	do    func(context.Context) error
}

// decision is a decision with the names that the test file uses for its room and leg.
type decision struct {
	rules.Decision
	room, label string
}

// room is one conference of a test.
type room struct {
	lanes.Conference
	name         string
	key          events.Key
	legs         []*leg
	lastSequence int64 // the last SequenceNumber used
	fixed        map[int64]bool
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
func (t *Timeline) run(ctx context.Context, set *rules.Set, load func([]string) (*rules.Set, error)) (*play, error) {
	p := &play{
		test: t, load: load, start: t.begin(), sets: map[string]*rules.Set{}, rooms: map[string]*room{}, known: map[string]bool{},
		faults: map[FaultExpectation]error{},
	}
	var err error
	if p.machine, err = lanes.New(p, nil); err != nil {
		return nil, err
	}
	if err := p.bringIntoForce(ctx, t.line, set, p.start); err != nil {
		return nil, err
	}
	for i := range t.Timeline {
		e := &t.Timeline[i]
		if e.Sequence != nil {
			p.room(e.Conference).fixed[*e.Sequence] = true
		}
		p.plan(p.start.Add(e.At), func(ctx context.Context) error { return p.enter(ctx, e) })
	}
	for len(p.turns) > 0 {
		next := p.turns[0]
		if t.Until > 0 && next.at.After(p.start.Add(t.Until)) {
			break
		}
		if p.count > mostTurns {
			return nil, fmt.Errorf("%d: the test does not end; give it an until", t.line)
		}
		p.turns = p.turns[1:]
		if err := next.do(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// plan adds a turn to the timeline, behind those of the same time.
func (p *play) plan(at time.Time, do func(context.Context) error) {
	p.count++
	t := turn{at, p.count, do}
	i, _ := slices.BinarySearchFunc(p.turns, t, func(a, b turn) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order))
	})
	p.turns = slices.Insert(p.turns, i, t)
}

// Set loads a rule set for the machine.
func (p *play) Set(_ context.Context, version string) (*rules.Set, error) {
	return p.sets[version], nil
}

// enter appends one entry of the test to the journal.
func (p *play) enter(ctx context.Context, e *Entry) error {
	at, r := p.start.Add(e.At), p.room(e.Conference)
	switch {
	case len(e.Load) > 0:
		return p.reload(ctx, e, at)
	case e.Exempt != nil:
		return p.append(ctx, e.line, events.NewExempted(events.Exemption{
			ID: events.NewULID(), Key: r.key, Rule: e.Exempt.Rule, Until: at.Add(e.Exempt.For), At: at,
			Actor: events.Actor{Sid: testAccount},
		}))
	case e.Reread:
		return p.append(ctx, e.line, events.NewReread(r.key, at))
	case e.Action != nil:
		return p.act(ctx, e, at)
	}
	return p.append(ctx, e.line, p.callback(e, at))
}

// act appends what a client did through Gavel.
func (p *play) act(ctx context.Context, e *Entry, at time.Time) error {
	r := p.room(e.Conference)
	a := events.Action{
		ID: events.NewULID(), Do: e.Action.Do, AccountSid: testAccount, ConferenceSid: r.key.ConferenceSid,
		Actor: events.Actor{Sid: testAccount, Name: e.Action.By}, At: at,
	}
	if e.Leg+e.Label != "" {
		a.CallSid = r.leg(e).callSid
	}
	if err := p.append(ctx, e.line, events.NewIntent(a)); err != nil {
		return err
	}
	return p.append(ctx, e.line, events.NewOutcome(a, events.Outcome{Result: cmp.Or(e.Action.Result, events.Done), At: at}))
}

// reload brings other rule files into force and wakes every conference that has
// not ended, as the projector of a lane does.
func (p *play) reload(ctx context.Context, e *Entry, at time.Time) error {
	set, err := p.load(e.Load)
	if err != nil {
		return fmt.Errorf("%d: %w", e.line, err)
	}
	if err := p.bringIntoForce(ctx, e.line, set, at); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		if r := p.rooms[name]; r.Record != nil && r.Record.End == nil {
			if err := p.append(ctx, e.line, events.NewWake(r.key, at)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *play) bringIntoForce(ctx context.Context, line int, set *rules.Set, at time.Time) error {
	p.sets[set.Version] = set
	return p.append(ctx, line, events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: set.Version, At: at}))
}

// append steps through one entry of the journal, and does what follows from it.
// line is the entry's line in the test file.
func (p *play) append(ctx context.Context, line int, raw events.Entry) error {
	event, err := events.Parse(raw)
	if err != nil {
		return fmt.Errorf("%d: %w", line, err)
	}
	p.last.Sequence++
	var c *lanes.Conference
	r := p.roomOf(&event)
	if r != nil {
		c = &r.Conference
	}
	ready, err := p.machine.Step(ctx, &lanes.Entry{Event: event, Raw: raw, At: p.last}, c)
	if err != nil {
		return fmt.Errorf("%d: %w", line, err)
	}
	p.machine.Announced(p.last.Sequence)
	if l := ready.Letter; l != nil {
		return fmt.Errorf("%d: %s: %s", line, l.Field, l.Reason)
	}
	for _, f := range ready.Faults {
		if of := (FaultExpectation{f.Rule, f.In}); p.faults[of] == nil {
			p.faults[of] = f.Err
		}
	}
	return p.process(ctx, r, raw.ReceivedAt, &ready)
}

// process does what one step led to. It stores nothing and publishes no news.
func (p *play) process(ctx context.Context, r *room, at time.Time, ready *lanes.Ready) error {
	if alarm := ready.Alarm; !alarm.IsZero() {
		p.plan(alarm, func(ctx context.Context) error { return p.append(ctx, p.test.line, events.NewWake(r.key, alarm)) })
	}
	for _, d := range ready.Decisions {
		p.add(r, d)
	}
	for _, d := range ready.Matches {
		_, entry, err := lanes.MatchEntry(d, at)
		if err != nil {
			return err
		}
		if err := p.append(ctx, p.test.line, entry); err != nil {
			return err
		}
	}
	return nil
}

// add records a decision and plans its outcome.
func (p *play) add(r *room, d rules.Decision) {
	if p.known[d.ID] {
		return
	}
	p.known[d.ID] = true
	t := decision{Decision: d, label: "-", room: "-"}
	if r != nil {
		t.room = r.name
		if i := slices.IndexFunc(r.legs, func(l *leg) bool { return l.callSid == d.CallSid }); i >= 0 {
			t.label = cmp.Or(r.legs[i].label, r.legs[i].name)
		}
	}
	p.decided = append(p.decided, t)
	if o := p.outcome(d); d.Verdict == rules.Act && r != nil && o.Result != NoAnswer {
		at := d.AsOf.Add(o.After)
		a := events.Action{
			ID: d.ID, Do: d.Do.Action(), AccountSid: d.AccountSid, ConferenceSid: d.ConferenceSid, CallSid: d.CallSid,
			Actor: events.Actor{Rule: d.Rule}, At: d.AsOf,
		}
		result := cmp.Or(o.Result, events.Done)
		if d.Do.AtTwilio() && (result == events.Done || result == events.Failed || result == events.Unknown) {
			p.plan(d.AsOf, func(ctx context.Context) error { return p.append(ctx, p.test.line, events.NewIntent(a)) })
		}
		entry := events.NewOutcome(a, events.Outcome{Result: result, At: at})
		p.plan(at, func(ctx context.Context) error { return p.append(ctx, p.test.line, entry) })
	}
}

// outcome returns how the test file lets a step end.
func (p *play) outcome(d rules.Decision) StepResult {
	for _, o := range p.test.Outcomes {
		if (o.Rule == "" || o.Rule == d.Rule) && (o.Do == "" || o.Do == d.Do) {
			return o
		}
	}
	return StepResult{}
}

func (p *play) room(name string) *room {
	name = cmp.Or(name, testRoom)
	r := p.rooms[name]
	if r == nil {
		key := events.Key{AccountSid: testAccount, ConferenceSid: fmt.Sprintf("CF%032x", len(p.rooms)+1)}
		r = &room{name: name, key: key, fixed: map[int64]bool{}}
		p.rooms[name] = r
	}
	return r
}

// roomOf returns the room that an event is about, nil if it is about none.
func (p *play) roomOf(e *events.Event) *room {
	for _, r := range p.rooms {
		if r.key == e.Key() {
			return r
		}
	}
	return nil
}

// callback encodes an entry as Twilio would send it.
func (p *play) callback(e *Entry, at time.Time) events.Entry {
	r := p.room(e.Conference)
	happened := at
	if e.Happened != nil {
		happened = p.start.Add(*e.Happened)
	}
	if (&events.Event{Kind: e.Event, SequenceNumber: events.NoSequence}).Streamed() {
		return p.streamed(e, r, happened, at)
	}
	form := events.Params{{Name: "AccountSid", Value: testAccount}, {Name: "ConferenceSid", Value: r.key.ConferenceSid}}
	add := func(name, value string) { form = append(form, events.Param{Name: name, Value: value}) }
	source := events.SourceCallback
	if status, is := strings.CutPrefix(string(e.Event), "recording-"); is {
		source = events.SourceRecording
		add("RecordingSid", "RE"+r.key.ConferenceSid[2:])
		add("RecordingStatus", status)
	} else {
		add("FriendlyName", r.name)
		add("SequenceNumber", strconv.FormatInt(r.sequence(e.Sequence), 10))
		add("Timestamp", happened.Format(time.RFC1123Z))
		add("StatusCallbackEvent", string(e.Event))
	}
	if e.Leg+e.Label != "" {
		form = append(form, r.leg(e).params(e)...)
	}
	form = append(form, reasons(e)...)
	for _, name := range slices.Sorted(maps.Keys(e.Params)) {
		add(name, e.Params[name])
	}
	return events.Entry{Source: source, ReceivedAt: at, Form: form.Encode()}
}

// streamed encodes an entry as an item of Event Streams.
func (p *play) streamed(e *Entry, r *room, happened, at time.Time) events.Entry {
	callSid := ""
	if e.Leg+e.Label != "" {
		callSid = r.leg(e).callSid
	}
	var params events.Params
	for _, name := range slices.Sorted(maps.Keys(e.Params)) {
		params = append(params, events.Param{Name: name, Value: e.Params[name]})
	}
	return events.NewStreamed(e.Event, r.key, callSid, events.NewULID(), happened, at, params)
}

// sequence returns the number of the next callback: the one that the entry has,
// or the first that no entry has.
func (r *room) sequence(given *int64) int64 {
	if given != nil {
		return *given
	}
	for r.lastSequence++; r.fixed[r.lastSequence]; r.lastSequence++ {
	}
	return r.lastSequence
}

func (r *room) leg(e *Entry) *leg {
	name := cmp.Or(e.Leg, e.Label)
	for _, l := range r.legs {
		if l.name == name {
			return l
		}
	}
	l := &leg{name: name, label: e.Label, callSid: fmt.Sprintf("CA%s%016x", r.key.ConferenceSid[18:], len(r.legs)+1)}
	l.flags.StartConferenceOnEnter = true
	r.legs = append(r.legs, l)
	return l
}

// params are what every event about a leg carries: its flags after it.
func (l *leg) params(e *Entry) events.Params {
	f := &l.flags
	params := events.Params{{Name: "CallSid", Value: l.callSid}}
	for _, flag := range []struct {
		name    string
		is      *bool
		set     *bool
		on, off events.Kind
	}{
		{"Muted", &f.Muted, e.Muted, events.ParticipantMute, events.ParticipantUnmute},
		{"Hold", &f.Hold, e.Hold, events.ParticipantHold, events.ParticipantUnhold},
		{name: "Coaching", is: &f.Coaching, set: e.Coaching},
		{name: "EndConferenceOnExit", is: &f.EndConferenceOnExit, set: e.EndOnExit},
		{name: "StartConferenceOnEnter", is: &f.StartConferenceOnEnter, set: e.Start},
	} {
		switch {
		case e.Event == flag.on, e.Event == flag.off:
			*flag.is = e.Event == flag.on
		case flag.set != nil:
			*flag.is = *flag.set
		}
		params = append(params, events.Param{Name: flag.name, Value: strconv.FormatBool(*flag.is)})
	}
	if l.label != "" {
		params = append(params, events.Param{Name: "ParticipantLabel", Value: l.label})
	}
	return params
}

// reasons are the default reasons of the two events that have one.
func reasons(e *Entry) events.Params {
	switch e.Event {
	case events.ParticipantLeave:
		return events.Params{{Name: "ReasonParticipantLeft", Value: cmp.Or(e.Reason, "participant_hung_up")}}
	case events.ConferenceEnd:
		return events.Params{{Name: "ReasonConferenceEnded", Value: cmp.Or(e.Reason, "last-participant-left")}}
	}
	return nil
}
