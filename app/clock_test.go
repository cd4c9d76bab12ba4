package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
)

// wallClock is a machine's clock that is ahead.
type wallClock struct{ ahead atomic.Int64 }

func (c *wallClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// start sends the start of a conference that Twilio signed at a time.
func (p *process) start(number string, at time.Time) {
	p.t.Helper()
	form := url.Values{
		"AccountSid": {journalAccount}, "ConferenceSid": {journalConference + number}, "FriendlyName": {"room"},
		"StatusCallbackEvent": {"conference-start"}, "SequenceNumber": {"1"}, "Timestamp": {at.UTC().Format(events.TimestampLayout)},
	}
	target := "http://" + p.Info().Public + "/twilio/conference"
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", twiliofake.Signature(token, target, form))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		p.t.Fatalf("the callback was answered %d", response.StatusCode)
	}
}

// await polls, because a callback is readable a moment after its answer.
func (p *process) await(path string, status int, text string) {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, answer := p.call(http.MethodGet, path, "")
		if got == status && strings.Contains(answer, text) {
			return
		}
		select {
		case <-tick.C:
		case <-p.t.Context().Done():
			p.t.Fatalf("%s: %d %s", path, got, answer)
		}
	}
}

// The machine's clock is 40 days ahead at one start, and then corrected. The picture, the news and
// the rules go on as if nothing had happened.
func TestAClockThatIsAheadAtOneStartExpiresNothing(t *testing.T) {
	t.Parallel()
	const ahead, stopped, runs = 40 * 24 * time.Hour, `"stopped":true`, `"stopped":false`
	conference := "/2010-04-01/Accounts/" + journalAccount + "/Conferences/" + journalConference
	timeline := "/v1/conferences/" + journalConference + "01/timeline"
	wall := new(wallClock)
	o := options(t)
	o.Keep, o.Wall = 30*24*time.Hour, wall.now
	p := startProcess(t, o)
	p.start("01", time.Now())
	p.await(conference+"01.json", http.StatusOK, "in-progress")
	p.stop()

	wall.ahead.Store(int64(ahead))
	p = startProcess(t, o)
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Error(err)
	}
	p.want(http.MethodGet, "/metrics", "", http.StatusOK, `gavel_store_condition{condition="clock"} 1`)
	p.want(http.MethodGet, conference+"01.json", "", http.StatusOK, "in-progress")
	p.want(http.MethodGet, timeline, "", http.StatusOK, "conference-start")
	p.start("02", time.Now())
	p.await(conference+"02.json", http.StatusOK, "in-progress")
	p.want(http.MethodGet, "/v1/stop", "", http.StatusOK, stopped)
	p.stop()

	wall.ahead.Store(0)
	p = startProcess(t, o)
	p.want(http.MethodGet, "/v1/stop", "", http.StatusOK, runs)
	p.await(conference+"01.json", http.StatusOK, "in-progress")
	p.await(conference+"02.json", http.StatusOK, "in-progress")
	p.want(http.MethodGet, timeline, "", http.StatusOK, "conference-start")
	p.stop()

	// Now 40 days have passed. Twilio says so.
	wall.ahead.Store(int64(ahead))
	p = startProcess(t, o)
	p.want(http.MethodGet, "/v1/stop", "", http.StatusOK, stopped)
	p.start("03", wall.now())
	p.await("/v1/stop", http.StatusOK, runs)
	p.stop()
	p = startProcess(t, o)
	defer p.stop()
	p.want(http.MethodGet, "/v1/stop", "", http.StatusOK, runs)
	p.await(conference+"03.json", http.StatusOK, "in-progress")
}
