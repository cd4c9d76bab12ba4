package twiliofake_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gavel/internal/twilio/twiliofake"
)

// Every request gets an answer with a status, and with JSON or no body.
func FuzzEveryRequestIsAnswered(f *testing.F) {
	twilio := twiliofake.New(twiliofake.Config{AccountSid: account, AuthToken: authToken, Clock: twiliofake.FastForward(opening)})
	sid, _, err := twilio.Join("support-1", twiliofake.Leg{Label: "kate"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("GET", "Conferences.json?PageSize=1&PageToken=PA"+sid+"&DateCreated%3E=2026-08-03", "")
	f.Add("POST", "Conferences/"+sid+"/Participants/kate.json", "Hold=true&Coaching=false")
	f.Add("POST", "Conferences/support%202/Participants.json", "From=a&To=b&Label=%F0%9F%98%80&Timeout=5")
	f.Add("DELETE", "Conferences/"+sid+"/Recordings/Twilio.CURRENT.json", "")
	handler := twilio.Handler()
	f.Fuzz(func(t *testing.T, method, path, form string) {
		target, err := url.Parse("http://api.twilio.test/2010-04-01/Accounts/" + account + "/" + path)
		if err != nil {
			return
		}
		request, err := http.NewRequestWithContext(t.Context(), method, target.String(), strings.NewReader(form))
		if err != nil {
			return
		}
		request.SetBasicAuth(account, authToken)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, request)
		if got.Code != http.StatusNoContent && !json.Valid(got.Body.Bytes()) {
			t.Errorf("%s %s answers %d %q", method, path, got.Code, got.Body)
		}
	})
}
