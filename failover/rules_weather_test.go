package failover_test

import (
	"testing"
	"time"

	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

// leftAlone plays an announcement to a caller left alone, and ends the call if no one joins.
const leftAlone = `
rules:
  - name: left-alone
    when: conference.status == "in-progress" && size(conference.live) == 1
    for: 1s
    do:
      - announce: {say: "Are you still there?"}
      - wait: 1s
      - end: {}
    mode: live
`

// Twilio refuses requests, fails, or does not answer a request that it may have
// carried out. The caller hears the announcement at most once, the call is
// ended, and the journal has one outcome for it: done.
func TestACallIsEndedOnceWhateverTwilioAnswers(t *testing.T) {
	t.Parallel()
	both := []twiliofake.Call{twiliofake.Announcement, twiliofake.EndConference}
	end := []twiliofake.Call{twiliofake.EndConference}
	for name, weather := range map[string]twiliofake.Weather{
		"too many at once":    {On: both, Status: 429, RetryAfter: time.Second, Times: 3},
		"broken down":         {On: both, Status: 500, Times: 2},
		"broken down, done":   {On: both, Status: 500, Times: 2, CarriedOut: true},
		"gone silent, done":   {On: both, Silent: true, Times: 2, CarriedOut: true},
		"gone silent, undone": {On: end, Silent: true, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRuled(t)
			r.gavel("all", r.ruleFile(leftAlone))
			r.twilio.SetWeather(weather)

			s := r.twilio.NewStory()
			leavesAlone(s, "support-1")
			r.plays(s)

			done := map[string]int{"done": 1}
			r.end("left-alone", rules.StepEnd, done)
			r.end("left-alone", rules.StepAnnounce, done)
			for url, times := range r.twilio.Played() {
				if times > 1 {
					t.Errorf("%s was played %d times", url, times)
				}
			}
			if ends := r.twilio.Tally(twiliofake.EndConference); ends.Done != 1 {
				t.Errorf("Twilio ended the call %d times in %d requests", ends.Done, ends.Asked)
			}
			r.converges()
		})
	}
}
