package twiliofake

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// floors is how many call floors are compared: busy and failed dials, waiting rooms, transfers,
// people who come back, rooms of one name, events of one second.
const floors = 20_000

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
	dialled []*participant
	names   int
}

func playFloor(t *testing.T, seed uint64) {
	t.Helper()
	chance := rand.New(rand.NewPCG(seed, 7))
	f := &playedFloor{chance: chance, clock: &stillClock{now: time.Date(2026, 8, 3, 9, 0, 0, 0, time.UTC)}}
	kinds := []string{"start", "end", "join", "leave", "mute", "hold", "modify", "speaker"}
	if seed%2 == 1 { // every second floor subscribes to some kinds only
		kinds = slices.DeleteFunc(kinds, func(string) bool { return chance.IntN(3) == 0 })
	}
	f.status = Subscription{URL: "http://gavel.test/", Events: kinds}
	f.Twilio = New(Config{AccountSid: "AC25e16e9a716a4a8617a7c83f58e30482", AuthToken: "token", Seed: seed, Clock: f.clock})
	for range 5 + chance.IntN(30) {
		f.step()
		if chance.IntN(2) == 0 {
			f.clock.now = f.clock.now.Add(time.Duration(chance.IntN(40)) * time.Second)
		}
	}
	for len(f.dialled) > 0 {
		f.resolve()
	}
	records := f.folded(t)
	for _, c := range f.kept {
		f.compare(t, seed, kinds, c, records[c.sid])
	}
}

// step lets one thing happen; what Twilio refuses does not happen.
func (f *playedFloor) step() {
	room := fmt.Sprint("room-", f.chance.IntN(2))
	switch n := f.chance.IntN(12); {
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
		_ = f.Mute(f.one().callSid, f.chance.IntN(2) == 0)
	case n == 9:
		_ = f.Hold(f.one().callSid, f.chance.IntN(2) == 0)
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

// dials begins a call to a participant, without early media.
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
	f.legs, f.dialled = append(f.legs, p), append(f.dialled, p)
}

// resolve lets the oldest call be answered, or not.
func (f *playedFloor) resolve() {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.dialled[0]
	f.dialled = f.dialled[1:]
	if f.Twilio.legs[p.callSid] == p {
		ends := []string{"", "", "", "busy", "no-answer", "failed", "canceled"}
		f.answer(p, outgoing{phone: Phone{Fails: ends[f.chance.IntN(len(ends))]}})
	}
}

// folded folds all callbacks in any order, some of them twice, by ConferenceSid.
func (f *playedFloor) folded(t *testing.T) map[string]*projections.Conference {
	t.Helper()
	sent := f.takeOutbox()
	for range len(sent) / 4 {
		sent = append(sent, sent[f.chance.IntN(len(sent))])
	}
	f.chance.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	records := map[string]*projections.Conference{}
	for _, cb := range sent {
		e, err := events.Parse(events.Entry{Source: events.SourceCallback, ReceivedAt: f.clock.now, Form: cb.params.encode()})
		if err != nil {
			t.Fatalf("%s: %v", cb.params.encode(), err)
		}
		if records[cb.conferenceSid], _, err = projections.Fold(records[cb.conferenceSid], &e); err != nil {
			t.Fatalf("%s: %v", cb.params.encode(), err)
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
	}
	if has("start") {
		differ("the start", got.Start != nil, c.started)
	}
	for _, p := range f.legs {
		if p.conference != c {
			continue
		}
		leg := got.Participant(p.callSid)
		present := f.Twilio.legs[p.callSid] == p
		if has("join", "leave") {
			differ("presence of "+p.Label, slices.Contains(got.Present(), leg), present)
			differ("past presence of "+p.Label, slices.Contains(got.Joined(), leg), p.entered)
		}
		if leg == nil || !present || !has("join", "leave") {
			continue
		}
		if has("hold") {
			differ("hold of "+p.Label, leg.Flags.Value.Hold, p.hold)
		}
		if has("mute") {
			differ("mute of "+p.Label, leg.Flags.Value.Muted, p.Muted)
		}
	}
}
