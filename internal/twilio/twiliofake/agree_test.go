package twiliofake

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// The call floors have busy and failed dials, with and without early media, waiting rooms, transfers,
// people who come back as another call or as the same one, rooms of one name, and events of one second.
// On every third floor calls are dialled and legs changed through Gavel, while callbacks are on their
// way, and some calls still ring at the end.
//
// Whatever happens on a call floor, and in whatever order its callbacks arrive and how often, the
// record that Gavel folds agrees with Twilio's own state: in everything if all kinds of events are
// subscribed, and otherwise in what the subscribed kinds can show (docs/twilio-api.md).
func TestGavelsStateAgreesWithTwilios(t *testing.T) {
	t.Parallel()
	const shards = 8
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint("shard ", shard), func(t *testing.T) {
			t.Parallel()
			for n := range uint64(floors / shards) {
				if playFloor(t, n*shards+shard); t.Failed() {
					return
				}
			}
		})
	}
}

// stillClock moves only when a floor moves it.
type stillClock struct{ now time.Time }

func (c *stillClock) Now() time.Time                       { return c.now }
func (c *stillClock) After(time.Duration) <-chan time.Time { return nil }

// playedFloor is one call floor, and all that it ever had.
type playedFloor struct {
	*Twilio
	chance  *rand.Rand
	clock   *stillClock
	status  Subscription
	legs    []*participant
	dialled []*call
	// through: calls are dialled through Gavel, which appends Twilio's answers.
	through bool
	answers []events.Entry
	// written counts the answers to writes, and arrived the callbacks that Gavel had before the last one.
	written, arrived int
	starts           map[*conference]time.Time
	stays            map[*conference]map[string][]stay
	names            int
}

// call is one that is dialled.
type call struct {
	*participant
	ends string
}

// stay is a stretch of the presence of a leg; left is zero while it lasts.
type stay struct{ joined, left time.Time }

func playFloor(t *testing.T, seed uint64) {
	t.Helper()
	chance := rand.New(rand.NewPCG(seed, 7))
	f := &playedFloor{
		chance: chance, clock: &stillClock{now: time.Date(2026, 8, 3, 9, 0, 0, 0, time.UTC)}, through: seed%3 == 0,
		stays: map[*conference]map[string][]stay{}, starts: map[*conference]time.Time{},
	}
	kinds := []string{"start", "end", "join", "leave", "mute", "hold", "modify", "speaker"}
	if seed%2 == 1 { // every second floor subscribes to some kinds only
		kinds = slices.DeleteFunc(kinds, func(string) bool { return chance.IntN(3) == 0 })
	}
	if f.through && seed%4 == 1 { // as many clients do: what Twilio answers is all that states hold and mute
		kinds = []string{"start", "end", "join", "leave"}
	}
	f.status = Subscription{URL: "http://gavel.test/", Events: kinds}
	f.Twilio = New(Config{AccountSid: "AC25e16e9a716a4a8617a7c83f58e30482", AuthToken: "token", Seed: seed, Clock: f.clock})
	for range 5 + chance.IntN(30) {
		f.step()
		f.watch()
		if chance.IntN(2) == 0 {
			f.clock.now = f.clock.now.Add(time.Duration(chance.IntN(40)) * time.Second)
		}
	}
	for len(f.dialled) > 0 && !f.through {
		f.resolve()
		f.watch()
	}
	records := f.folded(t)
	for _, c := range f.kept {
		f.compare(t, seed, kinds, c, records[c.sid])
	}
}

// step lets one thing happen; what Twilio refuses does not happen.
func (f *playedFloor) step() {
	room := fmt.Sprint("room-", f.chance.IntN(2))
	switch n := f.chance.IntN(13); {
	case n < 3 || len(f.legs) == 0:
		_, sid, err := f.Join(room, f.leg())
		if err == nil {
			f.legs = append(f.legs, f.Twilio.legs[sid])
		}
	case n < 5:
		f.dials(room)
	case n == 5 && len(f.dialled) > 0:
		f.resolve()
	case n == 6:
		_ = f.End(f.one().conference.sid)
	case n == 7:
		_ = f.Kick(f.one().callSid) // a transfer: the leg comes back as another call
	case n == 8:
		p, muted := f.one(), f.chance.IntN(2) == 0
		f.writes(p, Change{Muted: &muted})
	case n == 9:
		p, hold := f.one(), f.chance.IntN(2) == 0
		f.writes(p, Change{Hold: &hold})
	case n == 10:
		f.returns(f.one(), room)
	default:
		_ = f.HangUp(f.one().callSid)
	}
}

// one is any leg, whether it is still there or not.
func (f *playedFloor) one() *participant { return f.legs[f.chance.IntN(len(f.legs))] }

func (f *playedFloor) leg() Leg {
	f.names++
	return Leg{
		Label: fmt.Sprint("leg-", f.names), Status: f.status, Muted: f.chance.IntN(5) == 0,
		StartConferenceOnEnter: f.chance.IntN(3) > 0, EndConferenceOnExit: f.chance.IntN(5) == 0,
	}
}

// returns lets a leg that has left join a room again, as the same call: its TwiML went on to another
// <Conference> or back to the first one.
func (f *playedFloor) returns(old *participant, room string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Twilio.legs[old.callSid] != nil || !old.entered {
		return
	}
	leg := f.leg()
	c, refusal := f.room(room, leg, ErrLabelTaken)
	if refusal != nil {
		return
	}
	p := f.add(c, leg)
	delete(f.Twilio.legs, p.callSid)
	p.callSid, p.status = old.callSid, statusConnected
	f.Twilio.legs[p.callSid] = p
	f.legs = append(f.legs, p)
	f.enter(p)
}

// watch notes who is in which conference after each step, and since when.
func (f *playedFloor) watch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.kept {
		if _, known := f.starts[c]; c.started && !known {
			f.starts[c] = f.clock.now
		}
	}
	for _, p := range f.legs {
		of := f.stays[p.conference]
		if of == nil {
			of = map[string][]stay{}
			f.stays[p.conference] = of
		}
		list := of[p.callSid]
		present := len(list) > 0 && list[len(list)-1].left.IsZero()
		switch is := f.isIn(p.callSid, p.conference); {
		case is && !present:
			of[p.callSid] = append(list, stay{joined: f.clock.now})
		case !is && present:
			list[len(list)-1].left = f.clock.now
		}
	}
}

// isIn reports whether the leg is visible to the others in the conference.
func (f *playedFloor) isIn(callSid string, c *conference) bool {
	p := f.Twilio.legs[callSid]
	return p != nil && p.conference == c && p.entered
}

// dials begins a call to a participant. A third of the calls have early media.
func (f *playedFloor) dials(room string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	leg := f.leg()
	c, refusal := f.room(room, leg, ErrLabelTaken)
	if refusal != nil {
		return
	}
	p := f.add(c, leg)
	p.status = statusRinging
	ends := []string{"", "", "", "busy", "no-answer", "failed", "canceled"}
	calls := &call{p, ends[f.chance.IntN(len(ends))]}
	if f.through {
		f.answers = append(f.answers, f.answered(p))
	}
	if (calls.ends == "" || calls.ends == noAnswer) && f.chance.IntN(3) == 0 { // as dial
		f.enter(p)
	}
	f.legs, f.dialled = append(f.legs, p), append(f.dialled, calls)
}

// answered is the entry of Gavel's own about Twilio's answer to the request.
func (f *playedFloor) answered(p *participant) events.Entry {
	d := events.Dialled{
		ID: events.NewULID(), Key: events.Key{AccountSid: f.accountSid, ConferenceSid: p.conference.sid}, CallSid: p.callSid,
		Status: statusQueued, Label: p.Label, Timeout: time.Hour, At: f.clock.now,
	}
	return events.NewDialled(d)
}

// writes changes a leg, on some floors through Gavel, which has not received all callbacks yet.
func (f *playedFloor) writes(p *participant, to Change) {
	if !f.through {
		_ = f.Change(p.callSid, to) // what Twilio refuses does not happen
		return
	}
	f.mu.Lock()
	f.arrived += f.chance.IntN(len(f.outbox) - f.arrived + 1)
	arrived := slices.Clone(f.outbox[:f.arrived])
	f.mu.Unlock()
	if f.chance.IntN(4) == 0 {
		arrived = nil // the picture does not answer
	}
	if p.status != statusConnected || f.Twilio.legs[p.callSid] != p || f.Change(p.callSid, to) != nil {
		return
	}
	record := &projections.Conference{AccountSid: f.accountSid, ConferenceSid: p.conference.sid}
	for _, cb := range arrived {
		e, err := events.Parse(events.Entry{Source: events.SourceCallback, ReceivedAt: f.clock.now, Form: cb.params.encode()})
		if err == nil && e.ConferenceSid == p.conference.sid {
			record, _, _ = projections.Fold(record, &e)
		}
	}
	body, _ := json.Marshal(f.showParticipant(p, nil)) // texts and numbers
	f.written++
	at := f.clock.now.Add(time.Duration(f.written) * time.Millisecond)
	if entry, ok := projections.Answered(record, body, at, events.NewULID); ok {
		f.answers = append(f.answers, entry)
	}
}

// resolve lets the oldest call be answered, or not.
func (f *playedFloor) resolve() {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.dialled[0]
	f.dialled = f.dialled[1:]
	if f.Twilio.legs[c.callSid] == c.participant {
		f.answer(c.participant, outgoing{phone: Phone{Fails: c.ends}})
	}
}

// folded folds all callbacks in any order, some of them twice, by ConferenceSid.
func (f *playedFloor) folded(t *testing.T) map[string]*projections.Conference {
	t.Helper()
	sent := f.answers
	for _, cb := range f.takeOutbox() {
		sent = append(sent, events.Entry{Source: events.SourceCallback, ReceivedAt: f.clock.now, Form: cb.params.encode()})
	}
	for range len(sent) / 4 {
		sent = append(sent, sent[f.chance.IntN(len(sent))])
	}
	f.chance.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	records := map[string]*projections.Conference{}
	for _, entry := range sent {
		e, err := events.Parse(entry)
		if err != nil {
			t.Fatalf("%s: %v", entry.Form, err)
		}
		if records[e.ConferenceSid], _, err = projections.Fold(records[e.ConferenceSid], &e); err != nil {
			t.Fatalf("%s: %v", entry.Form, err)
		}
	}
	return records
}

// compare compares what the subscribed kinds can show.
func (f *playedFloor) compare(t *testing.T, seed uint64, kinds []string, c *conference, got *projections.Conference) {
	t.Helper()
	has := func(kind ...string) bool {
		return !slices.ContainsFunc(kind, func(k string) bool { return !slices.Contains(kinds, k) })
	}
	differ := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("floor %d with %q: %s of %s is %v, at Twilio %v", seed, kinds, what, c.sid, got, want)
		}
	}
	if got == nil {
		if has("join", "leave") {
			t.Errorf("floor %d: no callback about %s", seed, c.sid)
		}
		return
	}
	want := projections.StatusInit
	switch {
	case c.completed:
		want = projections.StatusCompleted
	case c.started:
		want = projections.StatusInProgress
	}
	if has("join", "leave") && (has("end") || c.entered || !c.completed) || has("end") && c.completed {
		differ("the status", got.Status(), want)
	}
	if has("end") {
		differ("the reason", got.End != nil && got.End.Reason == c.reason, c.completed)
		if c.completed && got.End != nil {
			differ("the time of the end", got.End.At.Time(), c.updated)
		}
	}
	if has("start") {
		differ("the start", got.Start != nil, c.started)
		if c.started && got.Start != nil {
			differ("the time of the start", got.Start.At.Time(), f.starts[c])
		}
	}
	if !has("join", "leave") {
		return
	}
	for _, p := range f.legs {
		if p.conference == c {
			f.compareLeg(p, got, has, differ)
		}
	}
	if f.through {
		ringing := 0
		for _, p := range c.participants {
			if !p.entered {
				ringing++
			}
		}
		differ("the number of legs that ring", len(got.Dialling(projections.At(f.clock.now))), ringing)
	}
}

// compareLeg compares one leg, which may have been in the conference several times.
func (f *playedFloor) compareLeg(p *participant, got *projections.Conference, has func(...string) bool, differ func(string, any, any)) {
	leg, present := got.Participant(p.callSid), f.isIn(p.callSid, p.conference)
	differ("presence of "+p.Label, slices.Contains(got.Present(), leg), present)
	stays := f.stays[p.conference][p.callSid]
	differ("past presence of "+p.Label, slices.Contains(got.Joined(), leg), len(stays) > 0)
	if leg == nil {
		return
	}
	var times []stay
	for _, i := range got.Intervals(leg) {
		times = append(times, stay{i.From.Time(), i.Until.Time()})
	}
	differ("times of "+p.Label, times, stays)
	// The join is on its way at most: other callbacks with flags may be older than the answer.
	answered := f.through && len(stays) == 1 && !has("mute") && !has("hold") && !has("modify") && !has("speaker")
	if now := f.Twilio.legs[p.callSid]; present && (has("hold") || answered) {
		differ("hold of "+p.Label, leg.Flags.Value.Hold, now.hold)
	}
	if now := f.Twilio.legs[p.callSid]; present && (has("mute") || answered) {
		differ("mute of "+p.Label, leg.Flags.Value.Muted, now.Muted)
	}
}
