package act_test

import (
	"net/http"
	"testing"

	"gavel/internal/twilio/twiliofake"
)

// With the alarm clocks of NATS, and time as it goes by.
func TestNATSRingsForTheNextTry(t *testing.T) {
	t.Parallel()
	w := open(t, `
rules:
  - name: end-orphaned
    when: conference.status == "in-progress" && size(conference.live) == 1
    do:
      - end: {}
    mode: live
`)
	w.config.Timers = w.bus.Timers()
	w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.EndConference}, Times: 1, Status: http.StatusTooManyRequests})
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	r.ends("end done")
}
