package projections_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gavel/events"
	"gavel/projections"
)

var askedAt = time.Date(2026, 8, 3, 9, 5, 0, 0, time.UTC)

// pair is a conference of two legs in progress: agent (1) and caller (2).
func pair(t *testing.T) *projections.Conference {
	t.Helper()
	return foldAll(t, []events.Event{
		parseLine(t, "0 09:00:00 participant-join CA1 label=agent StartConferenceOnEnter=true"),
		parseLine(t, "1 09:00:05 participant-join CA2 label=caller Muted=true"),
		parseLine(t, "2 09:00:05 conference-start"),
	})
}

var (
	agentSeen  = projections.SeenLeg{CallSid: call(1), Status: "connected", Flags: projections.Flags{StartConferenceOnEnter: true}}
	callerSeen = projections.SeenLeg{CallSid: call(2), Status: "connected", Flags: projections.Flags{Muted: true}}
)

func seen(legs ...projections.SeenLeg) projections.Seen {
	return projections.Seen{Status: projections.StatusInProgress, Legs: legs, At: askedAt}
}

func withStatus(leg projections.SeenLeg, status string) projections.SeenLeg {
	leg.Status = status
	return leg
}

// Heal returns the facts that follow from a state of the REST API; the overlay
// has the legs that a condition sees right after it.
func TestHealReturnsTheFactsThatTheRecordLacks(t *testing.T) {
	t.Parallel()
	third := projections.SeenLeg{CallSid: call(3), Status: "connected", Flags: projections.Flags{Hold: true, Coaching: true, EndConferenceOnExit: true}}
	unmuted := callerSeen
	unmuted.Flags.Muted = false
	for _, c := range []struct {
		name  string
		seen  projections.Seen
		facts string
		live  []int
	}{
		{"nothing differs", seen(agentSeen, callerSeen), "", []int{1, 2}},
		{"a leg that is not listed has left", seen(agentSeen), "participant-leave 2", []int{1}},
		{"a leg that is complete has left", seen(agentSeen, withStatus(callerSeen, "complete")), "participant-leave 2", []int{1}},
		{"a leg that failed has left", seen(withStatus(agentSeen, "failed"), callerSeen), "participant-leave 1", []int{2}},
		{"a leg that never joined has not left", seen(agentSeen, callerSeen, withStatus(third, "failed")), "", []int{1, 2}},
		{
			"a leg without callbacks has joined", seen(agentSeen, callerSeen, third),
			"participant-join 3 hold&coaching&end-on-exit",
			[]int{1, 2, 3},
		},
		{
			"a leg listed on two pages is one", seen(agentSeen, third, callerSeen, third),
			"participant-join 3 hold&coaching&end-on-exit",
			[]int{1, 2, 3},
		},
		{"a ringing leg counts as present but is not a fact", seen(agentSeen, withStatus(third, "ringing")), "participant-leave 2", []int{1, 3}},
		{"a queued leg counts as present", seen(agentSeen, callerSeen, withStatus(third, "queued")), "", []int{1, 2, 3}},
		{"a connecting leg counts as present", seen(agentSeen, callerSeen, withStatus(third, "connecting")), "", []int{1, 2, 3}},
		{"an unknown status changes nothing", seen(agentSeen, withStatus(callerSeen, "new"), withStatus(third, "new")), "", []int{1, 2}},
		{"flags that differ have changed", seen(agentSeen, unmuted), "participant-modify 2", []int{1, 2}},
		{
			"a completed conference has ended, and its legs are ignored",
			projections.Seen{Status: projections.StatusCompleted, Legs: []projections.SeenLeg{third}, At: askedAt},
			"conference-end", nil,
		},
		{"an empty conference has not ended", seen(), "participant-leave 1, participant-leave 2", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			record := pair(t)
			if got := describeFacts(projections.Heal(record, c.seen, events.NewULID)); got != c.facts {
				t.Errorf("heals %q, want %q", got, c.facts)
			}
			if got := liveLegs(projections.Overlay(record, c.seen)); !slices.Equal(got, c.live) {
				t.Errorf("live legs are %v, want %v", got, c.live)
			}
		})
	}
}

// describeFacts returns "participant-leave 2, participant-join 3 muted".
func describeFacts(facts []events.Healed) string {
	var all []string
	for _, h := range facts {
		words := []string{string(h.Fact)}
		for n := range 4 {
			if h.CallSid == call(n) {
				words = append(words, fmt.Sprint(n))
			}
		}
		if h.Flags != "" {
			words = append(words, h.Flags)
		}
		all = append(all, strings.Join(words, " "))
	}
	return strings.Join(all, ", ")
}

func liveLegs(c *projections.Conference) (live []int) {
	for _, p := range c.Live() {
		for n := range 4 {
			if p.CallSid == call(n) {
				live = append(live, n)
			}
		}
	}
	return live
}

func TestHealedFactsNameTheNumberTheyFollow(t *testing.T) {
	t.Parallel()
	ids := []string{"01J00000000000000000000001"}
	got := projections.Heal(pair(t), seen(agentSeen), func() string { return ids[0] })
	want := []events.Healed{{
		ID: ids[0], Key: events.Key{AccountSid: account, ConferenceSid: conference},
		Fact: events.ParticipantLeave, CallSid: call(2), Behind: 2, At: askedAt,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

func TestWhatIsOverOrUnknownIsNotHealed(t *testing.T) {
	t.Parallel()
	over := foldAll(t, []events.Event{parseLine(t, "5 09:04:00 conference-end ReasonConferenceEnded=last-participant-left")})
	for _, c := range []*projections.Conference{nil, over} {
		if facts := projections.Heal(c, seen(agentSeen), events.NewULID); len(facts) > 0 {
			t.Errorf("heals %q", describeFacts(facts))
		}
		if c != nil && len(projections.Overlay(c, seen(agentSeen)).Live()) > 0 {
			t.Error("an ended conference has live legs")
		}
	}
	if projections.Overlay(nil, seen(agentSeen)) != nil {
		t.Error("the overlay of no record is not nil")
	}
}

// An overlay has labels and the status, which no healed fact holds.
func TestAnOverlayHasLabelsAndTheStatus(t *testing.T) {
	t.Parallel()
	record := foldAll(t, []events.Event{parseLine(t, "0 09:00:00 participant-join CA1 label=agent")})
	before := projections.Why(record)
	third := projections.SeenLeg{CallSid: call(3), Status: "ringing", Label: "supervisor"}
	named := agentSeen
	named.Label = "another"
	c := projections.Overlay(record, seen(named, third))
	if got := c.Participant(call(3)).Label.Value + ", " + c.Participant(call(1)).Label.Value; got != "supervisor, agent" {
		t.Errorf("labels are %s", got)
	}
	if c.Status() != projections.StatusInProgress {
		t.Errorf("status is %s", c.Status())
	}
	if projections.Why(record) != before || len(record.Participants) != 1 {
		t.Error("the record itself was changed")
	}
}

// A record with Heal's facts folded agrees with the REST API, whatever it was before.
func TestAHealedRecordAgreesWithTwilio(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c *projections.Conference
		for _, e := range wildConference(t) {
			if e.Kind == events.HealedFact || e.Kind == events.ConferenceEnd {
				continue
			}
			c, _, _ = projections.Fold(c, &e)
		}
		asked := wildSeen(t)
		before := marshal(t, c)
		overlaid := projections.Overlay(c, asked)
		for _, h := range projections.Heal(c, asked, events.NewULID) {
			e, err := events.Parse(events.NewHealed(h))
			if err != nil {
				t.Fatal(err)
			}
			after, fresh, err := projections.Fold(c, &e)
			if err != nil || !fresh {
				t.Fatalf("%s: fresh %v, %v", h.Fact, fresh, err)
			}
			c = after
		}
		if again := projections.Heal(c, asked, events.NewULID); len(again) > 0 {
			t.Fatalf("heals again: %s\nseen %+v", describeFacts(again), asked)
		}
		if marshal(t, overlaid) == before && marshal(t, c) != before {
			t.Fatal("the overlay lacks what was healed")
		}
		for _, leg := range asked.Legs {
			if p := overlaid.Participant(leg.CallSid); leg.Status == "ringing" && overlaid.End == nil && (p == nil || !p.Live()) {
				t.Fatal("a ringing leg does not count as present")
			}
		}
	})
}

func wildSeen(t *rapid.T) projections.Seen {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seen"), 3))
	s := projections.Seen{Status: projections.StatusInProgress, At: time.Unix(1_790_009_999, 0)}
	if r.IntN(8) == 0 {
		s.Status = projections.StatusCompleted
	}
	for n := range 7 {
		f := projections.Flags{Muted: r.IntN(2) == 0, Hold: r.IntN(2) == 0, Coaching: r.IntN(2) == 0}
		if r.IntN(4) > 0 {
			status := []string{"connected", "connected", "ringing", "complete"}[r.IntN(4)]
			s.Legs = append(s.Legs, projections.SeenLeg{CallSid: call(n), Status: status, Flags: f})
		}
	}
	return s
}

// Every flag reaches the record through the journal.
func TestEveryFlagIsHealed(t *testing.T) {
	t.Parallel()
	for bits := range 1 << 5 {
		on := func(n int) bool { return bits>>n&1 == 1 }
		want := projections.Flags{Muted: on(0), Hold: on(1), Coaching: on(2), EndConferenceOnExit: on(3), StartConferenceOnEnter: on(4)}
		c := pair(t)
		for _, h := range projections.Heal(c, seen(agentSeen, callerSeen, projections.SeenLeg{CallSid: call(3), Status: "connected", Flags: want}), events.NewULID) {
			e, err := events.Parse(events.NewHealed(h))
			if err != nil {
				t.Fatal(err)
			}
			c, _, _ = projections.Fold(c, &e)
		}
		if got := c.Participant(call(3)).Flags.Value; got != want {
			t.Errorf("flags are %+v, want %+v", got, want)
		}
	}
}

// A leg that only the REST API named is dated from when it was first listed.
func TestALegThatNoCallbackNamedHasDates(t *testing.T) {
	t.Parallel()
	c := foldAll(t, []events.Event{
		parseLine(t, "2 09:00:05 conference-start"),
		parseLine(t, "healed 09:05:00 behind 2 participant-leave CA3"),
	})
	p := c.Participant(call(3))
	if got := projections.At(askedAt); p.FirstSign() != got || c.PresentSeconds(p, got+100) != 0 {
		t.Errorf("first sign %d, present for %d s", p.FirstSign(), c.PresentSeconds(p, got+100))
	}
	if raw := string(projections.AppendParticipant(nil, c, p)); strings.Count(raw, "Mon, 03 Aug 2026 09:05:00 +0000") != 2 {
		t.Errorf("dates are missing: %s", raw)
	}
}

// Entries of rules are in the lane of a conference and do not change its record.
func TestEntriesOfRulesChangeNothing(t *testing.T) {
	t.Parallel()
	key := events.Key{AccountSid: account, ConferenceSid: conference}
	for _, entry := range []events.Entry{events.NewWake(key, askedAt), events.NewReread(key, askedAt)} {
		e, err := events.Parse(entry)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*projections.Conference{nil, pair(t)} {
			if after, fresh, err := projections.Fold(c, &e); after != c || fresh || err != nil {
				t.Errorf("%s: fresh %v, %v", e.Kind, fresh, err)
			}
		}
	}
}
