package failover_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

const (
	// dueAtOnce is how many calls are due in the same second.
	dueAtOnce = 40
	// slowTwilio keeps calls on the wire for so long.
	slowTwilio = 300 * time.Millisecond
)

// endMany ends calls without minding how many, and tells who leaves.
const endMany = `
rules:
  - name: end-alone
    when: conference.status == "in-progress" && size(conference.live) == 1
    for: 2s
    do: [{end: {}}]
    limits: {per_minute: 1000, trip_after: 1000}
    mode: live
  - name: left
    when: event.kind == "participant-leave"
    do: [{publish: {subject: floor.left}}]
    mode: live
`

// Dozens of calls are due, and some are ended already, when a person stops it
// all. Once the command has returned, no request reaches Twilio but those that
// it listed. People are told as before. When the person resumes, all are ended,
// each once, and nothing is lost.
func TestRulesAreStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	told := r.subscribe("floor.left")
	g := r.gavel("all", r.ruleFile(endMany))
	r.gavel("act", "")
	r.twilio.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.EndConference}, Delay: slowTwilio})

	s := r.twilio.NewStory()
	leavesAlone(s, roomNames("due", dueAtOnce)...)
	r.plays(s)
	eventually(t, func() string {
		if asked := len(r.desk.list()); asked < dueAtOnce/4 {
			return fmt.Sprintf("Twilio is asked to end %d calls only", asked)
		}
		return ""
	})
	listed := r.stops(g)
	before := r.desk.list()
	t.Logf("%d of %d calls were asked for when all was stopped, %d were on the wire", len(before), dueAtOnce, len(listed))

	r.allWait(dueAtOnce)
	for _, late := range r.desk.list()[len(before):] {
		if !slices.Contains(listed, late.conference()) {
			t.Errorf("Twilio was asked to end %s after the stop, which did not list it", late.conference())
		}
	}
	leavesAlone(s, "meanwhile")
	r.plays(s)
	eventually(t, func() string {
		if n := told.heard(); n < dueAtOnce+1 {
			return fmt.Sprintf("%d leaves were told of %d", n, dueAtOnce+1)
		}
		return ""
	})

	r.cli(g, "resume", "--reason", "it was the right rule after all")
	r.end("end-alone", rules.StepEnd, map[string]int{"done": dueAtOnce + 1})
	if ends := r.twilio.Tally(twiliofake.EndConference); ends.Done != dueAtOnce+1 {
		t.Errorf("Twilio ended %d calls of %d", ends.Done, dueAtOnce+1)
	}
	r.converges()
}

// stops stops all rules, and returns the conferences whose ends the command
// says to be on the wire.
func (r *ruled) stops(g *gavel) (listed []string) {
	r.t.Helper()
	said := r.cli(g, "stop", "--reason", "ends the wrong calls", "--output", "json")
	var answer struct {
		Stopped bool
		Unsure  bool
		Wire    []struct {
			ConferenceSid string `json:"conference_sid"`
		} `json:"on_the_wire"`
	}
	if err := json.Unmarshal([]byte(said), &answer); err != nil || !answer.Stopped || answer.Unsure {
		r.t.Fatalf("gavel stop says %s (%v)", said, err)
	}
	for _, call := range answer.Wire {
		listed = append(listed, call.ConferenceSid)
	}
	return listed
}

// allWait waits until so many calls are to be ended, and each of them either
// was, or waits for the stop to end.
func (r *ruled) allWait(decisions int) {
	r.t.Helper()
	eventually(r.t, func() string {
		ends := count(r.deeds("end-alone", rules.StepEnd))
		waiting := r.waits("stopped")
		if ends[""]+ends["done"] != decisions || waiting < ends[""] {
			return fmt.Sprintf("calls ended in these ways: %v; %d tries wait for the stop to end", ends, waiting)
		}
		return ""
	})
}

// No Gavel answers whoever wants to stop it. The command leaves a file in the
// data directory, which is as good as the stop itself for the process there.
func TestRulesAreStoppedByFile(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	g := r.gavel("all", r.ruleFile(endMany))
	nobody := "http://127.0.0.1:" + strconv.Itoa(freePorts(t, 1)[0])
	r.command("stop", "--reason", "nobody answers", "--server", nobody, "--data-dir", g.dataDir())
	if _, err := os.Stat(filepath.Join(g.dataDir(), "STOP")); err != nil {
		t.Error(err)
	}

	s := r.twilio.NewStory()
	leavesAlone(s, "support-1")
	r.plays(s)
	eventually(t, func() string {
		if r.waits("stopped") == 0 {
			return "nothing waits for the stop to end"
		}
		return ""
	})
	if all := r.desk.list(); len(all) != 0 {
		t.Errorf("Twilio was asked %v", all)
	}

	r.cli(g, "resume", "--reason", "somebody answers again")
	r.end("end-alone", rules.StepEnd, map[string]int{"done": 1})
	r.converges()
}
