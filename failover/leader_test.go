//go:build failover

package failover_test

import (
	"slices"
	"testing"
	"time"
)

const (
	// leaderLoad is the minimum load of the promise: 300 callbacks a second.
	leaderLoad = 300
	// leaderKills is how many leaders are killed, one after the other.
	leaderKills = 2
	// answeredWithin is how long an answer may take while the journal has no
	// leader: Twilio waits 15 s, and the network takes some of it.
	answeredWithin = 14 * time.Second
)

// Of three NATS servers, the one that leads the journal is killed under load.
// Every callback is answered 2xx in time, and nothing is lost.
func TestTheJournalSurvivesTheLossOfItsLeader(t *testing.T) {
	w := newWorld(t, shape{servers: 3})
	door := w.gavel("door")
	w.gavel("project")
	w.gavel("project")
	load := w.callbacks(leaderLoad, door.url)
	for range leaderKills {
		pass(t, settleTime)
		leader := leaderOf(t, w.nats, "GAVEL_JOURNAL")
		killed := time.Now()
		leader.kill()
		w.acceptsAgain(load, killed)
		leader.start()
		eventually(t, func() string { return notCurrent(t, w.nats, "GAVEL_JOURNAL") })
	}
	pass(t, settleTime)
	answers := load.stop()
	if missing := unanswered(answers); missing != "" {
		t.Error(missing)
	}
	slowest := slices.MaxFunc(answers, func(a, b answer) int { return int(a.took - b.took) })
	t.Logf("the slowest of %d answers took %s", len(answers), slowest.took.Round(time.Millisecond))
	if slowest.took > answeredWithin {
		t.Errorf("an answer took longer than %s", answeredWithin)
	}
	w.converges()
}

// acceptsAgain waits until a callback that was sent after a kill is accepted.
func (w *world) acceptsAgain(l *load, killed time.Time) {
	w.t.Helper()
	eventually(w.t, func() string {
		if !l.accepted(func(a answer) bool { return a.sent.After(killed) }) {
			return "no callback is accepted"
		}
		return ""
	})
	w.t.Logf("the journal accepted an entry %s after its leader was killed", time.Since(killed).Round(time.Millisecond))
}
