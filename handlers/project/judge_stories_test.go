package project_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/projections"
)

// ring runs what brings alarms into the journal, until the test ends.
func (r *ruled) ring(t *testing.T, now func() time.Time) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := (project.Wakes{Timers: r.bus.Timers(), Journal: r.bus.Journal(), Now: now}).Run(ctx); err != nil {
			t.Errorf("wakes: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// journaledKinds counts the entries of a kind.
func (r *ruled) journaledKinds(t *testing.T, kind events.Kind) (n int) {
	t.Helper()
	r.eachOf(t, kind, func(*events.Event) { n++ })
	return n
}

// woken are the conferences that were woken so many seconds after the beginning
// or later: the load at the beginning wakes them as well.
func (r *ruled) woken(t *testing.T, seconds int) map[string]bool {
	t.Helper()
	woken := map[string]bool{}
	r.eachOf(t, events.Wake, func(e *events.Event) {
		if !e.ReceivedAt.Before(r.at(seconds)) {
			woken[e.ConferenceSid] = true
		}
	})
	return woken
}

// eachOf shows each entry of a kind.
func (r *ruled) eachOf(t *testing.T, kind events.Kind, show func(*events.Event)) {
	t.Helper()
	last, err := r.bus.Journal().Last(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	err = r.bus.Journal().Read(t.Context(), 0, 1, last, func(g events.Group) error {
		return g.Split(func(_ int, raw events.Entry) error {
			if e, err := events.ParseStored(raw); err == nil && e.Kind == kind {
				show(&e)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// From a callback to a decision with nothing but real time: the alarm is set,
// rings, wakes the lane, and the rule decides.
func TestAnAlarmRingsAndTheRuleDecides(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	r.began = time.Now().UTC().Truncate(time.Second)
	r.shelf.activate(r.shelf.put(t, strings.Replace(orphan, "20s", "1s", 1)))
	c := r.config()
	c.Now = time.Now
	run(t, c)
	r.ring(t, time.Now)
	r.tellAt(t, 0, told{1, 0, events.ParticipantJoin, 1})
	r.until(t, "the rule decided", func() bool { return len(r.decided(t)) == 1 })
	r.settled(t)
	r.judgedRight(t)
}

// The projector was away when the deadline came. Company came back before it, so
// nothing is left to decide, for any delay of the alarm.
func TestCompanyThatCameBackDuringAnOutage(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	r.loadAt(t, 0, r.shelf.put(t, orphan))
	_, stop := run(t, r.config())
	r.tellAt(t, 1, told{1, 0, events.ParticipantJoin, 1})
	r.tellAt(t, 1, told{2, 0, events.ParticipantJoin, 1})
	r.settled(t)
	stop()

	r.tellAt(t, 10, told{1, 1, events.ParticipantJoin, 2})
	r.set(300)
	run(t, r.config())
	r.ring(t, r.now)
	r.until(t, "the alarms are heard", func() bool { return len(r.woken(t, 300)) == 2 })
	r.settled(t)
	r.wantDecided(t, "21s 2 orphan end act")
	r.judgedRight(t)
}

// deaf loses every alarm.
type deaf struct{}

func (deaf) Set(context.Context, int, []events.Alarm) error { return nil }

// A projector that takes a lane over does not rely on the alarms of the owner before,
// and neither does a picture that was lost.
func TestAlarmsAreSetAgainAtATakeOver(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		r := newRuled(t, newStack(t))
		r.loadAt(t, 0, r.shelf.put(t, orphan))
		c := r.config()
		c.Timers = deaf{}
		_, stop := run(t, c)
		for n := 1; n <= 3; n++ {
			r.tellAt(t, n, told{n, 0, events.ParticipantJoin, 1})
		}
		r.settled(t)
		stop()
		if lost {
			r.loseStore(t)
		}
		r.set(3000)
		r.ring(t, r.now)
		run(t, r.config())
		r.until(t, "all rules decided", func() bool { return len(r.decided(t)) == 3 })
		r.settled(t)
		r.judgedRight(t)
	}
}

// A load takes effect at one place of the journal. Conferences without
// further events are woken for it.
func TestRulesChangeMidway(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	r.shelf.activate(r.shelf.put(t, orphan))
	p, _ := run(t, r.config())
	r.until(t, "the rules are in force", func() bool { return r.journaledKinds(t, events.RulesLoaded) == 1 })
	r.tellAt(t, 1, told{1, 0, events.ParticipantJoin, 1})
	r.tellAt(t, 2, told{2, 0, events.ParticipantJoin, 1})
	r.settled(t)

	r.set(10)
	r.shelf.activate(r.shelf.put(t, strings.Replace(orphan, "20s", "60s", 1)))
	r.until(t, "all conferences are woken", func() bool { return r.journaledKinds(t, events.Wake) == 2 })
	r.settled(t)
	r.wakeAt(t, 30, 1)
	r.wakeAt(t, 75, 1)
	r.settled(t)
	r.wantDecided(t, "1m10s 1 orphan end act")
	r.judgedRight(t)
	if got := r.journaledKinds(t, events.RulesLoaded); got != 2 {
		t.Errorf("%d loads are in the journal", got)
	}
	r.rebuiltAlike(t, p, 1, 2)
}

// A lane takes the same load twice for one, and none that is older than its last.
func TestALoadIsJudgedOnce(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	first, second := r.shelf.put(t, orphan), r.shelf.put(t, strings.Replace(orphan, "20s", "40s", 1))
	r.loadAt(t, 0, first)
	r.loadAt(t, 1, second)
	r.shelf.activate(first) // the second reaches this process late
	run(t, r.config())
	r.tellAt(t, 2, told{1, 0, events.ParticipantJoin, 1})
	r.loadAt(t, 20, second)
	r.loadAt(t, 21, first)
	r.wakeAt(t, 50, 1)
	r.settled(t)
	r.wantDecided(t, "42s 1 orphan end act")
	r.judgedRight(t)
}

// Rules that cannot be loaded stop the lane, with an error; nothing is judged by others instead.
func TestRulesThatAreNotToBeHadStopTheLane(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	l := r.shelf.put(t, orphan)
	known := r.shelf.sets
	r.shelf.sets = nil
	r.loadAt(t, 0, l)
	r.tellAt(t, 1, told{1, 0, events.ParticipantJoin, 1})
	p, _ := run(t, r.config())
	r.until(t, "the lane says why it stands", func() bool {
		return strings.Contains(p.States()[0].Err, errUnknownVersion.Error()) && strings.Contains(p.States()[0].Err, l.Version)
	})
	r.shelf.mu.Lock()
	r.shelf.sets = known
	r.shelf.mu.Unlock()
	r.wakeAt(t, 30, 1)
	r.settled(t)
	r.judgedRight(t)
	r.wantDecided(t, "21s 1 orphan end act")
}

const storm = `rules:
  - {name: storm, mode: live, when: 'event.kind == "participant-leave"', count: {by: account, within: 1m, at_least: 3},
     do: [{publish: {subject: floor.storm}}]}`

func TestACountGoesOverManyConferences(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	r.loadAt(t, 0, r.shelf.put(t, storm))
	p, stop := run(t, r.config())
	for n := 1; n <= 2; n++ {
		r.tellAt(t, n, told{n, 0, events.ParticipantJoin, 1})
		r.tellAt(t, n, told{n, 1, events.ParticipantLeave, 1})
	}
	r.settled(t)
	stop() // the tally outlives its counter
	p, _ = run(t, r.config())
	for n := 3; n <= 4; n++ {
		r.tellAt(t, n, told{n, 0, events.ParticipantJoin, 1})
		r.tellAt(t, n, told{n, 1, events.ParticipantLeave, 1})
		r.until(t, "the match is in the journal", func() bool { return r.journaledKinds(t, events.RuleMatch) == n })
	}
	r.settled(t)
	r.wantDecided(t, "3s - storm publish act")
	r.judgedRight(t)
	r.rebuiltAlike(t, p, 1, 2, 3, 4)
}

// exempt is a person's word on a conference.
func (r *ruled) exempt(conference, from, until int) events.Entry {
	return events.NewExempted(events.Exemption{
		ID: events.NewULID(), Key: keyOf(conference), Until: r.at(until), Reason: "a customer we know",
		Actor: events.Actor{Sid: "SK" + account[2:], Name: "kate"}, At: r.at(from),
	})
}

// An exemption by a person is published, outlasts a load, and the room is evaluated again
// when the time is over. It may come before there are any rules.
func TestAnExemptionKeepsRulesOffAndIsPublished(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	p, _ := run(t, r.config())
	r.tellAt(t, 1, told{1, 0, events.ParticipantJoin, 1})
	r.appendOwn(t, conferenceSid(1), r.exempt(1, 2, 100))
	r.appendOwn(t, conferenceSid(9), r.exempt(9, 2, 100)) // an unknown conference
	r.settled(t)
	r.loadAt(t, 5, r.shelf.put(t, orphan))
	r.wakeAt(t, 50, 1)
	r.settled(t)
	r.wantDecided(t)
	r.wakeAt(t, 110, 1)
	r.wakeAt(t, 130, 1)
	r.settled(t)
	r.wantDecided(t, "2m0s 1 orphan end act")
	r.judgedRight(t)
	r.rebuiltAlike(t, p, 1)
	if got := r.toldKinds(t, 1); !slices.Equal(got, []events.Kind{events.ParticipantJoin, events.Exempted}) {
		t.Errorf("subscribers received %v", got)
	}
}

func (r *ruled) toldKinds(t *testing.T, conference int) (kinds []events.Kind) {
	t.Helper()
	err := r.bus.News().Timeline(t.Context(), keyOf(conference), func(n events.StoredNews) error {
		kinds = append(kinds, n.Kind)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

// A rule's own outcome moves its ladder on, and sets no rule off.
func TestAnOutcomeMovesTheLadderOn(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	r.loadAt(t, 0, r.shelf.put(t, `rules:
  - {name: ladder, mode: live, when: size(conference.live) == 1, do: [{mute: {target: "true"}}, {wait: 10s}, {end: {}}]}
  - {name: nosy, mode: live, when: 'event.call_sid != ""', do: [{publish: {subject: floor.any}}]}`))
	run(t, r.config())
	r.tellAt(t, 1, told{1, 0, events.ParticipantJoin, 1})
	r.settled(t)
	all, _, err := r.bus.Actions().Before(t.Context(), events.Key{AccountSid: account, ConferenceSid: conferenceSid(1)}, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		a := kick(1)
		a.ID, a.Actor, a.At = d.ID, events.Actor{Rule: d.Rule}, r.at(2)
		r.appendOwn(t, a.ConferenceSid, events.NewIntent(a), events.NewOutcome(a, events.Outcome{Result: events.Done, Status: 200, At: r.at(2)}))
	}
	r.wakeAt(t, 20, 1)
	r.settled(t)
	r.wantDecided(t, "12s 1 ladder end act", "1s 1 ladder mute act", "1s 1 nosy publish act")
	r.judgedRight(t)
}

// A Redis that forgets loses no deadline and takes nothing twice.
func TestAnEmptiedRedisJudgesOn(t *testing.T) {
	t.Parallel()
	s, server := newRedisStack(t)
	r := newRuled(t, s)
	r.loadAt(t, 0, r.shelf.put(t, busyFloor))
	run(t, r.config())
	for i, c := range call(1)[:6] {
		r.tellAt(t, i, c)
	}
	r.settled(t)
	server.FlushAll()
	r.heals(t, 1)
	r.wakeAt(t, 60, 1)
	r.tellAt(t, 70, told{1, 6, events.ParticipantHold, 1})
	r.settled(t)
	r.judgedRight(t)
}

// Without rules in force nothing is written that was not written before.
func TestWithoutRulesNothingIsKept(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	run(t, r.config())
	r.tell(t, call(1)...)
	r.wakeAt(t, 1, 1)
	r.wakeAt(t, 1, 7) // an unknown conference
	r.settled(t)
	if kept := r.kept(t, 1); kept != "" {
		t.Errorf("rule state without rules: %s", kept)
	}
	if state, err := r.store.LaneState(t.Context(), 0); err != nil || state != nil {
		t.Errorf("lane state without rules: %s, %v", state, err)
	}
	if _, err := r.tryStored(7); err == nil {
		t.Error("a wake-up made a conference")
	}
	r.wantDecided(t)
	if got := r.stored(t, 1); got.Status() != projections.StatusCompleted {
		t.Errorf("status is %s", got.Status())
	}
}

// An expression that cannot be evaluated is counted in a metric.
func TestAFaultIsCounted(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	r.loadAt(t, 0, r.shelf.put(t, `rules: [{name: odd, mode: live, when: int(conference.friendly_name) > 1, do: [end: {}]}]`))
	run(t, r.config())
	r.tellAt(t, 1, told{1, 0, events.ParticipantJoin, 1})
	r.settled(t)
	r.shelf.mu.Lock()
	defer r.shelf.mu.Unlock()
	if !slices.Contains(r.shelf.faults, "odd when") {
		t.Errorf("faults are %v", r.shelf.faults)
	}
}
