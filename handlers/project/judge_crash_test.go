package project_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"gavel/events"
	"gavel/handlers/project"
)

type killedActions struct {
	project.Actions
	*killer
}

func (a killedActions) Decide(ctx context.Context, decided []events.Decided) (fresh int, err error) {
	decide := func(decided []events.Decided) func() error {
		return func() error {
			n, err := a.Actions.Decide(ctx, decided)
			fresh += n
			return err
		}
	}
	return fresh, a.step(decide(decided), decide(decided[:len(decided)/2]))
}

type killedTimers struct {
	project.Timers
	*killer
}

func (a killedTimers) Set(ctx context.Context, lane int, alarms []events.Alarm) error {
	set := func(alarms []events.Alarm) func() error {
		return func() error { return a.Timers.Set(ctx, lane, alarms) }
	}
	return a.step(set(alarms), set(alarms[:len(alarms)/2]))
}

type killedJournal struct {
	project.Journal
	*killer
}

func (j killedJournal) Append(ctx context.Context, conference string, e events.Entry) error {
	return j.step(func() error { return j.Journal.Append(ctx, conference, e) }, func() error { return nil })
}

// killedRules puts the killer between the projector and all that rules change, too.
func killedRules(c project.Config, k *killer, life int) project.Config {
	c = killed(c, k, life)
	c.Actions, c.Timers, c.Journal = killedActions{c.Actions, k}, killedTimers{c.Timers, k}, killedJournal{c.Journal, k}
	return c
}

const busyFloor = `rules:
  - {name: orphan, mode: live, when: size(conference.live) == 1, for: 2s, do: [{mute: {target: "true"}}, {wait: 2s}, {end: {}}]}
  - {name: held, mode: shadow, each: participant, when: participant.hold, do: [{publish: {subject: floor.held}}, {wait: 1s}, {kick: {}}]}
  - {name: left, mode: live, when: 'event.kind == "participant-leave"', do: [{publish: {subject: floor.left}}]}
  - {name: storm, mode: live, when: 'event.kind == "participant-join"', count: {by: account, within: 1m, at_least: 2},
     do: [{publish: {subject: floor.storm}}]}`

// A projector that dies anywhere on the way of a decision leaves decisions, rule states and tallies
// as if it had not: nothing is lost and nothing is decided twice, over a change of the rules too.
func TestCrashOnTheWayOfADecision(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"in the middle of", "after"} {
		for at := 1; at <= 14; at++ {
			t.Run(fmt.Sprintf("%s step %d", how, at), func(t *testing.T) {
				t.Parallel()
				crashJudging(t, newRuled(t, newStack(t)), at, how)
			})
		}
	}
}

func crashJudging(t *testing.T, r *ruled, at int, how string) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(at), uint64(len(how))))
	all := append(call(1), call(2)...)
	all = append(all, all[:6]...)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	second := r.shelf.put(t, busyFloor+"\n  - {name: late, mode: live, when: 'conference.live.exists(p, p.muted)', do: [end: {}]}")
	r.loadAt(t, 0, r.shelf.put(t, busyFloor))

	tell := func(from, to int) {
		for i := from; i < to; i++ {
			r.tellAt(t, i, all[i])
			if i%3 == 0 {
				r.wakeAt(t, i, 1+i%2)
			}
		}
	}
	r.tellAt(t, 0, told{3, 0, events.ParticipantJoin, 1})
	tell(0, 10)
	k := newKiller(at, how)
	_, stop := run(t, killedRules(r.config(), k, 1))
	tell(10, 16)
	for i := 16; !k.isDead(); i++ {
		r.until(t, "the projector is dead or wants more", func() bool { return k.isDead() || r.idle(t) })
		r.tellAt(t, i, all[i%6])
		r.tellAt(t, i, told{conference: 3, seq: i, kind: events.ParticipantSpeechStart, call: 1})
	}
	stop()

	r.loadAt(t, 100, second)
	tell(16, len(all))
	r.wakeAt(t, 200, 1)
	r.wakeAt(t, 200, 2)
	r.wakeAt(t, 200, 3)
	p, _ := run(t, killedRules(r.config(), newKiller(0, ""), 2))
	r.settled(t)
	r.agree(t, 1, 2, 3)
	r.judgedRight(t)
	r.rebuiltAlike(t, p, 1, 2, 3)
}

// idle reports whether all of the journal is acknowledged.
func (r *ruled) idle(t *testing.T) bool {
	t.Helper()
	last, err := r.bus.Journal().Last(t.Context(), 0)
	if err != nil {
		return false
	}
	floor, err := r.bus.Lanes()[0].Floor(t.Context())
	return err == nil && floor >= last
}
