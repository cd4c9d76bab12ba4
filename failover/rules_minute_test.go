//go:build failover

package failover_test

import (
	"testing"
	"time"

	"gavel/rules"
)

// A rule may end five calls in a minute, and eleven are due. Two processes end five, five more when
// the minute is over, and one in the minute after; they end more than five in no minute.
func TestRulesBrakeByTheMinute(t *testing.T) {
	t.Parallel()
	const due, few = 11, 5
	r := newRuled(t)
	r.gavel("all", r.ruleFile(endFew))
	r.gavel("act", "")

	s := r.twilio.NewStory()
	leavesAlone(s, roomNames("slow", due)...)
	r.plays(s)
	for done := few; done < due; done += few {
		r.end("few-a-minute", rules.StepEnd, map[string]int{"done": done, "": due - done})
		pass(t, time.Minute)
	}
	r.end("few-a-minute", rules.StepEnd, map[string]int{"done": due})

	all := r.desk.list()
	for i := range all[:len(all)-few] {
		if apart := all[i+few].at.Sub(all[i].at); apart < time.Minute {
			t.Errorf("%d calls were ended within %s", few+1, apart)
		}
	}
	r.converges()
}
