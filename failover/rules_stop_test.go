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
	// slowTwilio is how long Twilio takes to answer a request to end a call.
	slowTwilio = 300 * time.Millisecond
)

// endMany ends calls without a limit, and publishes each leave.
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

// Dozens of calls are due, and some are ended already, when an operator stops
// all actions. Once the command has returned, no request reaches Twilio except
// those that the command listed. Subscribers are notified as before. When the
// operator resumes, all calls are ended, each once, and nothing is lost.
func TestRulesAreStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	published := r.subscribe("floor.left")
	g := r.gavel("all", r.ruleFile(endMany))
	r.gavel("act", "")
	r.twilio.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.EndConference}, Delay: slowTwilio})

	s := r.twilio.NewStory()
	leavesAlone(s, roomNames("due", dueAtOnce)...)
	r.plays(s)
	eventually(t, func() string {
		if asked := len(r.desk.list()); asked < dueAtOnce/4 {
			return fmt.Sprintf("Twilio got requests to end %d calls only", asked)
		}
		return ""
	})
	listed := r.stops(g)
	before := r.desk.list()
	t.Logf("%d of %d requests were made before the stop, %d were in flight", len(before), dueAtOnce, len(listed))

	r.allWait(dueAtOnce)
	for _, late := range r.desk.list()[len(before):] {
		if !slices.Contains(listed, late.conference()) {
			t.Errorf("a request to end %s, which the stop did not list, came after the stop", late.conference())
		}
	}
	leavesAlone(s, "meanwhile")
	r.plays(s)
	eventually(t, func() string {
		if n := published.received(); n < dueAtOnce+1 {
			return fmt.Sprintf("%d leaves were published, want %d", n, dueAtOnce+1)
		}
		return ""
	})

	r.cli(g, "resume", "--reason", "it was the right rule after all")
	r.end("end-alone", rules.StepEnd, map[string]int{"done": dueAtOnce + 1})
	r.end("left", rules.StepPublish, map[string]int{"done": 2 * (dueAtOnce + 1)}) // both legs left; the outcomes are facts too
	if ends := r.twilio.Tally(twiliofake.EndConference); ends.Done != dueAtOnce+1 {
		t.Errorf("Twilio ended %d calls of %d", ends.Done, dueAtOnce+1)
	}
	r.converges()
}

// stops stops all rules, and returns the conferences whose ends the command reports as in flight. The
// command is repeated for as long as it reports that the list may be incomplete.
func (r *ruled) stops(g *gavel) (listed []string) {
	r.t.Helper()
	var answer struct {
		Stopped bool
		Unsure  bool
		Wire    []struct {
			ConferenceSid string `json:"conference_sid"`
		} `json:"on_the_wire"`
	}
	eventually(r.t, func() string {
		answer.Unsure = false
		said := r.cli(g, "stop", "--reason", "ends the wrong calls", "--output", "json")
		if err := json.Unmarshal([]byte(said), &answer); err != nil || !answer.Stopped {
			r.t.Fatalf("gavel stop prints %s (%v)", said, err)
		}
		if answer.Unsure {
			return "gavel stop cannot list all actions in flight: " + said
		}
		return ""
	})
	for _, call := range answer.Wire {
		listed = append(listed, call.ConferenceSid)
	}
	return listed
}

// allWait waits until this many calls have a decision to end them, and each was
// ended or waits for the stop to end.
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

// An operator wants to stop all actions and no Gavel answers. The command leaves a file in the data
// directory, which stops the process there as the stop itself would.
func TestRulesAreStoppedByFile(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	g := r.gavel("all", r.ruleFile(endMany))
	nowhere := "http://127.0.0.1:" + strconv.Itoa(freePorts(t, 1)[0])
	r.command("stop", "--reason", "no process answers", "--server", nowhere, "--data-dir", g.dataDir())
	if _, err := os.Stat(filepath.Join(g.dataDir(), "STOP")); err != nil {
		t.Error(err)
	}

	s := r.twilio.NewStory()
	leavesAlone(s, "support-1")
	r.plays(s)
	eventually(t, func() string {
		if r.waits("stopped") == 0 {
			return "no action waits for the stop to end"
		}
		return ""
	})
	if all := r.desk.list(); len(all) != 0 {
		t.Errorf("requests to Twilio: %v", all)
	}

	r.cli(g, "resume", "--reason", "a process answers again")
	r.end("end-alone", rules.StepEnd, map[string]int{"done": 1})
	r.converges()
}
