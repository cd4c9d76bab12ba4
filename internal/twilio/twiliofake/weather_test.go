package twiliofake_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"gavel/internal/twilio/twiliofake"
)

// ends requests the end of a conference and returns the status and the header,
// or the error of a request that was not answered in time.
func (x *exchange) ends(sid string, patience time.Duration) (*http.Response, error) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	defer cancel()
	address := x.http.URL + "/2010-04-01/Accounts/" + account + "/Conferences/" + sid + ".json?"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader("Status=completed"))
	if err != nil {
		x.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(account, authToken)
	response, err := x.http.Client().Do(request)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

// patience is how long a test waits for an answer that does not come.
const patience = 200 * time.Millisecond

func TestWeather(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		weather    twiliofake.Weather
		want       int // 0 means no answer
		retryAfter string
		ended      bool
	}{
		"calm":                       {twiliofake.Weather{}, 200, "", true},
		"too many":                   {twiliofake.Weather{Status: 429, CarriedOut: true}, 429, "", false},
		"too many, with Retry-After": {twiliofake.Weather{Status: 429, RetryAfter: 2 * time.Second}, 429, "2", false},
		"broken":                     {twiliofake.Weather{Status: 503}, 503, "", false},
		"broken, but done":           {twiliofake.Weather{Status: 500, CarriedOut: true}, 500, "", true},
		"no answer":                  {twiliofake.Weather{Silent: true}, 0, "", false},
		"no answer, but done":        {twiliofake.Weather{Silent: true, CarriedOut: true}, 0, "", true},
		"slow":                       {twiliofake.Weather{Delay: time.Minute}, 200, "", true},
		"on other requests":          {twiliofake.Weather{On: []twiliofake.Call{twiliofake.KickParticipant}, Status: 500}, 200, "", true},
		"on this one":                {twiliofake.Weather{On: []twiliofake.Call{twiliofake.EndConference}, Status: 500}, 500, "", false},
		"with a share of 1":          {twiliofake.Weather{Share: 1, Status: 500}, 500, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := opens(t, func(config *twiliofake.Config) { config.Weather = []twiliofake.Weather{c.weather} })
			sid, _, _ := x.talk("support-1")
			response, err := x.ends(sid, either(c.want == 0, patience, time.Minute))
			switch {
			case c.want == 0 && !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("answered %v, %v", response, err)
			case c.want != 0 && err != nil:
				t.Fatal(err)
			case c.want != 0 && (response.StatusCode != c.want || response.Header.Get("Retry-After") != c.retryAfter):
				t.Errorf("answered %v", response)
			}
			tally := x.Tally(twiliofake.EndConference)
			if ended := tally.Done == 1; ended != c.ended || tally.Asked != 1 {
				t.Errorf("tally is %+v", tally)
			}
			x.SetWeather()
			if got := x.do("GET", "Conferences/"+sid+".json"); (got.body["status"] == "completed") != c.ended {
				t.Errorf("the conference is %v", got.body)
			}
		})
	}
}

func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func TestWeatherClears(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	x.SetWeather(twiliofake.Weather{Status: 503, Times: 1}, twiliofake.Weather{Status: 429, Times: 2})
	for i, want := range []int{503, 429, 429, 200, 200} {
		if got := x.do("GET", "Conferences.json"); got.status != want {
			t.Errorf("request %d: %d, want %d", i, got.status, want)
		}
	}
}

func TestWeatherIsDrawnFromTheSeed(t *testing.T) {
	t.Parallel()
	draw := func() (statuses []int) {
		x := opens(t, func(c *twiliofake.Config) {
			c.Seed, c.Weather = 5, []twiliofake.Weather{{Status: 500, Share: 0.5}}
		})
		for range 40 {
			statuses = append(statuses, x.do("GET", "Conferences.json").status)
		}
		return statuses
	}
	first, failed := draw(), 0
	for i, status := range draw() {
		if status != first[i] {
			t.Errorf("request %d: %d and %d", i, first[i], status)
		}
		if status == 500 {
			failed++
		}
	}
	if failed < 10 || failed > 30 {
		t.Errorf("%d of 40 requests failed, want about half", failed)
	}
}

// Requests that hang count as in flight, as at Twilio.
func TestTooManyAtATimeAreRefused(t *testing.T) {
	t.Parallel()
	x := opens(t, func(c *twiliofake.Config) { c.MaxConcurrentRequests = 1 })
	sid, _, _ := x.talk("support-1")
	x.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.EndConference}, Silent: true})
	gone := make(chan error, 1)
	go func() { _, err := x.ends(sid, time.Minute); gone <- err }()
	eventually(t, func() bool { return x.Tally(twiliofake.EndConference).Asked == 1 })
	if got := x.do("GET", "Conferences.json"); got.status != 429 || got.code() != 20429 || got.header.Get("Twilio-Concurrent-Requests") != "2" {
		t.Errorf("beside another one: %+v", got)
	}
	x.http.CloseClientConnections()
	<-gone
	eventually(t, func() bool { return x.do("GET", "Conferences.json").status == 200 })
}

// eventually waits until holds returns true.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition does not hold after a minute")
		}
	}
}
