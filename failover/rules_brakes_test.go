package failover_test

import (
	"fmt"
	"strings"
	"testing"

	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

// endFew ends few calls: per minute, or in total until an operator resets the rule.
const endFew = `
rules:
  - name: few-a-minute
    when: conference.friendly_name.startsWith("slow") && conference.status == "in-progress" && size(conference.live) == 1
    for: 1s
    do: [{end: {}}]
    limits: {per_minute: 5, trip_after: 1000}
    mode: live
  - name: few-at-all
    when: conference.friendly_name.startsWith("odd") && conference.status == "in-progress" && size(conference.live) == 1
    for: 1s
    do: [{end: {}}]
    limits: {per_minute: 1000, trip_after: 5}
    mode: live
`

// Each of two rules has twenty calls to end, with two processes to perform it. One rule may end
// five in a minute: five are ended, fifteen wait. The other trips at the fifth: fifteen are not
// ended, which is recorded, and after an operator's reset the rule ends five of them.
func TestRulesBrakeTogether(t *testing.T) {
	t.Parallel()
	const due, few = 20, 5
	r := newRuled(t)
	g := r.gavel("all", r.ruleFile(endFew))
	r.gavel("act", "")

	s := r.twilio.NewStory()
	leavesAlone(s, roomNames("slow", due)...)
	leavesAlone(s, roomNames("odd", due)...)
	r.plays(s)

	r.end("few-at-all", rules.StepEnd, map[string]int{"done": few, "tripped": due - few})
	r.end("few-a-minute", rules.StepEnd, map[string]int{"done": few, "": due - few})
	eventually(t, func() string {
		if waiting := r.waits("braked"); waiting < due-few {
			return fmt.Sprintf("%d actions wait for the brakes, want %d", waiting, due-few)
		}
		return ""
	})
	if ends := r.twilio.Tally(twiliofake.EndConference); ends.Asked != 2*few {
		t.Errorf("%d requests to Twilio to end a call, want %d", ends.Asked, 2*few)
	}
	if said := r.cli(g, "rules", "status"); !strings.Contains(said, "TRIPPED") {
		t.Errorf("gavel rules status prints\n%s", said)
	}

	r.cli(g, "rules", "reset", "few-at-all", "--reason", "the carrier's outage is over")
	leavesAlone(s, "odd-again")
	r.plays(s)
	// The calls that were not ended are judged again, with the new one, and the rule trips at the fifth.
	r.end("few-at-all", rules.StepEnd, map[string]int{"done": 2 * few, "tripped": due - few + due + 1 - 2*few})
	r.converges()
}
